package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	provisionerName   = "hsc.jit/local"
	selectedNode      = "volume.kubernetes.io/selected-node"
	volumesInsideNode = "/var/lib/kubelet/hsc-volumes" // a node sees its own folder there
)

type provisioner struct {
	client clientset.Interface
	nodes  string // folder that holds each node's folder
	class  string
}

// runProvisioner makes a `local` volume (a folder of the node, so fsGroup works and data outlives pods and nodes' restarts) for each
// claim of its class, and removes the folder when the volume is released. It looks every second: no watch to lose.
func runProvisioner(arguments []string) error {
	flags := flag.NewFlagSet("provisioner", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "kubeconfig")
	nodes := flags.String("nodes", "", "folder of the nodes' folders")
	class := flags.String("class", "local", "StorageClass")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return err
	}
	p := provisioner{client, *nodes, *class}
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		if err := p.turn(ctx); err != nil {
			log.Print(err)
		}
		cancel()
		time.Sleep(time.Second)
	}
}

func (p provisioner) turn(ctx context.Context) error {
	claims, err := p.client.CoreV1().PersistentVolumeClaims("").List(ctx, meta.ListOptions{})
	if err != nil {
		return err
	}
	for i := range claims.Items {
		claim := &claims.Items[i]
		node := claim.Annotations[selectedNode]
		if claim.Spec.VolumeName == "" && node != "" && claim.Spec.StorageClassName != nil && *claim.Spec.StorageClassName == p.class {
			if err := p.provide(ctx, claim, node); err != nil {
				log.Printf("claim %s/%s: %v", claim.Namespace, claim.Name, err)
			}
		}
	}
	return p.remove(ctx)
}

func (p provisioner) provide(ctx context.Context, claim *core.PersistentVolumeClaim, node string) error {
	name := "pvc-" + string(claim.UID)
	if err := os.MkdirAll(p.folder(node, name), 0o770); err != nil {
		return err
	}
	volume := &core.PersistentVolume{
		ObjectMeta: meta.ObjectMeta{Name: name, Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": provisionerName}},
		Spec: core.PersistentVolumeSpec{
			Capacity:                      core.ResourceList{core.ResourceStorage: claim.Spec.Resources.Requests[core.ResourceStorage]},
			AccessModes:                   claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: core.PersistentVolumeReclaimDelete,
			StorageClassName:              p.class,
			ClaimRef: &core.ObjectReference{
				Kind: "PersistentVolumeClaim", APIVersion: "v1", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			PersistentVolumeSource: core.PersistentVolumeSource{Local: &core.LocalVolumeSource{Path: filepath.Join(volumesInsideNode, name)}},
			NodeAffinity: &core.VolumeNodeAffinity{Required: &core.NodeSelector{NodeSelectorTerms: []core.NodeSelectorTerm{{
				MatchExpressions: []core.NodeSelectorRequirement{{Key: core.LabelHostname, Operator: core.NodeSelectorOpIn, Values: []string{node}}},
			}}}},
		},
	}
	_, err := p.client.CoreV1().PersistentVolumes().Create(ctx, volume, meta.CreateOptions{})
	if errors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (p provisioner) remove(ctx context.Context) error {
	volumes, err := p.client.CoreV1().PersistentVolumes().List(ctx, meta.ListOptions{})
	if err != nil {
		return err
	}
	for i := range volumes.Items {
		volume := &volumes.Items[i]
		if volume.Annotations["pv.kubernetes.io/provisioned-by"] != provisionerName || volume.Status.Phase != core.VolumeReleased ||
			volume.Spec.PersistentVolumeReclaimPolicy != core.PersistentVolumeReclaimDelete {
			continue
		}
		node := volume.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0]
		if err := os.RemoveAll(p.folder(node, volume.Name)); err != nil {
			return fmt.Errorf("volume %s: %w", volume.Name, err)
		}
		if err := p.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, meta.DeleteOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// folder on the host. filepath.Base: a name from the API never leads out of the node's folder.
func (p provisioner) folder(node, volume string) string {
	return filepath.Join(p.nodes, filepath.Base(node), "kubelet", "hsc-volumes", filepath.Base(volume))
}
