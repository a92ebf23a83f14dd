package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/google/go-containerregistry/pkg/registry"
)

var manifestPath = regexp.MustCompile(`^/v2/.+/manifests/[^/]+$`)

// storedManifest is one PUT of a manifest. The library keeps blobs on disk but manifests in memory only, so each PUT is written down
// and repeated at the next start: an image stays deployable by its digest after a restart.
type storedManifest struct {
	Path, Type string
	Body       []byte
}

// runRegistry serves images from a folder on the given addresses: registry -dir D 127.0.0.1:5001 10.89.0.1:5001
func runRegistry(arguments []string) error {
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	dir := flags.String("dir", "", "folder of blobs and manifests")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	blobs, manifests := filepath.Join(*dir, "blobs"), filepath.Join(*dir, "manifests")
	for _, folder := range []string{blobs, manifests} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
	}
	handler := registry.New(registry.WithBlobHandler(registry.NewDiskBlobHandler(blobs)), registry.Logger(log.New(io.Discard, "", 0)))
	if err := replay(handler, manifests); err != nil {
		return err
	}
	failed := make(chan error)
	for _, address := range flags.Args() {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		go func() { failed <- http.Serve(listener, record(handler, manifests)) }()
	}
	return <-failed
}

func replay(handler http.Handler, folder string) error {
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		var stored storedManifest
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(text, &stored); err != nil {
			log.Printf("%s is damaged and left out: %v", path, err)
			continue
		}
		request := httptest.NewRequest(http.MethodPut, stored.Path, bytes.NewReader(stored.Body))
		request.Header.Set("Content-Type", stored.Type)
		answer := httptest.NewRecorder()
		if handler.ServeHTTP(answer, request); answer.Code >= 300 {
			log.Printf("%s is left out: %s", path, strings.TrimSpace(answer.Body.String()))
		}
	}
	return nil
}

func record(handler http.Handler, folder string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPut || !manifestPath.MatchString(r.URL.Path) {
			handler.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		if answer.Code < 300 {
			if err := save(folder, storedManifest{r.URL.Path, r.Header.Get("Content-Type"), body}); err != nil {
				http.Error(w, err.Error(), http.StatusInsufficientStorage)
				return
			}
		}
		for key, values := range answer.Header() {
			w.Header()[key] = values
		}
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
	})
}

// save replaces the file whole, so that a kill leaves the old one or the new one.
func save(folder string, stored storedManifest) error {
	text, err := json.Marshal(stored)
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(stored.Path))
	path := filepath.Join(folder, hex.EncodeToString(sum[:])+".json")
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
