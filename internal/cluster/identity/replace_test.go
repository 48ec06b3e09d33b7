package identity_test

import (
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/identity"
)

// A node that was struck comes back as another node of the same cluster, by itself, and the others
// take its certificate.
func TestReplace(t *testing.T) {
	files := &identity.MemFiles{}
	if _, err := identity.Replace(files, identity.Options{}); !cluster.IsKind(err, cluster.KindNotFound) {
		t.Errorf("Replace without an identity = %v, want kind not found", err)
	}
	before, err := identity.Init(files, identity.Options{})
	if err != nil {
		t.Fatal(err)
	}
	now, err := identity.Replace(files, identity.Options{Node: before.Node()})
	if err != nil {
		t.Fatal(err)
	}
	if now.Node() == before.Node() || now.Node() == cluster.NoNode || now.Cluster() != before.Cluster() {
		t.Errorf("Replace gave %v, before it was %v; want another node of the same cluster", now, before)
	}
	loaded, err := identity.Load(files, identity.Options{})
	if err != nil || loaded.Node() != now.Node() {
		t.Errorf("Load = %v, %v; want %v", loaded, err, now)
	}
	if err := files.WriteFile(identity.FileName, []byte("no PEM")); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.Replace(files, identity.Options{}); !cluster.IsKind(err, cluster.KindCorrupt) {
		t.Errorf("Replace of a damaged file = %v, want kind corrupt", err)
	}
}
