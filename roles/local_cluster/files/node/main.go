// One program for everything a node runs: it picks the command by its own name (argv[0], symlinks) or by its first argument.
// One link instead of a dozen: five minutes to build, 160 MB, one image layer.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	_ "time/tzdata" // the image has no zoneinfo, and CronJobs name zones

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app/cmd"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
	metricsserver "sigs.k8s.io/metrics-server/cmd/metrics-server/app"
)

// Kubernetes' own commands: cobra reads the arguments.
var kubernetes = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kube-proxy":              proxy.NewProxyCommand,
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"kubeadm":                 func() *cobra.Command { return kubeadm.NewKubeadmCommand(os.Stdin, os.Stdout, os.Stderr) },
	"kubectl":                 kubectl.NewDefaultKubectlCommand,
	"metrics-server": func() *cobra.Command {
		return metricsserver.NewMetricsServerCommand(genericapiserver.SetupSignalHandler())
	},
}

// Commands that read their arguments themselves.
var others = map[string]func(arguments []string) error{
	"etcd":        func([]string) error { etcdmain.Main(os.Args); return nil },
	"coredns":     func([]string) error { runCoreDNS(); return nil },
	"forward":     runForward,
	"provisioner": runProvisioner,
	"registry":    runRegistry,
}

func main() {
	name := filepath.Base(os.Args[0])
	if kubernetes[name] == nil && others[name] == nil && len(os.Args) > 1 {
		os.Args = os.Args[1:]
		name = os.Args[0]
	}
	if run := others[name]; run != nil {
		if err := run(os.Args[1:]); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			os.Exit(1)
		}
		return
	}
	if command := kubernetes[name]; command != nil {
		os.Exit(cli.Run(command()))
	}
	fmt.Fprintf(os.Stderr, "unknown command %q; one of: %s\n", name, strings.Join(names(), " "))
	os.Exit(2)
}

func names() []string {
	var all []string
	for name := range kubernetes {
		all = append(all, name)
	}
	for name := range others {
		all = append(all, name)
	}
	sort.Strings(all)
	return all
}
