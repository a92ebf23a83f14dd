package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"time"
)

// runForward takes pairs <listen address>=<target address> and copies TCP between them, half-closes included.
func runForward(pairs []string) error {
	if len(pairs) == 0 {
		return fmt.Errorf("usage: forward 127.0.0.1:8000=10.89.0.10:30800 ...")
	}
	failed := make(chan error)
	for _, pair := range pairs {
		listen, target, found := strings.Cut(pair, "=")
		if !found {
			return fmt.Errorf("%q is not <listen>=<target>", pair)
		}
		listener, err := net.Listen("tcp", listen)
		if err != nil {
			return err
		}
		go func() { failed <- accept(listener, target) }()
	}
	return <-failed
}

func accept(listener net.Listener, target string) error {
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go relay(client.(*net.TCPConn), target)
	}
}

func relay(client *net.TCPConn, target string) {
	defer client.Close()
	connection, err := net.DialTimeout("tcp", target, 5*time.Second)
	if err != nil {
		log.Print(err)
		return
	}
	server := connection.(*net.TCPConn)
	defer server.Close()
	done := make(chan struct{}, 2)
	pipe := func(to, from *net.TCPConn) {
		io.Copy(to, from)
		to.CloseWrite()
		done <- struct{}{}
	}
	go pipe(server, client)
	go pipe(client, server)
	<-done
	<-done
}
