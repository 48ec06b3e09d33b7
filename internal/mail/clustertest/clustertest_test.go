package clustertest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"slices"
	"testing"

	"porcupine/internal/cluster"
)

func union(a, b []byte) ([]byte, error) {
	set := slices.Concat(a, b)
	slices.Sort(set)
	return slices.Compact(set), nil
}

func types() []cluster.TypeSpec {
	return []cluster.TypeSpec{
		{Name: "set", Inline: true, Merge: union},
		{Name: "mail", DeriveVersion: 1, Derive: func(r io.ReaderAt, size int64) ([]byte, error) {
			b := make([]byte, min(size, 3))
			_, err := r.ReadAt(b, 0)
			return b, err
		}},
	}
}

func write(t *testing.T, c *Cluster, from cluster.NodeID, typ cluster.ObjectType, id, contents string, on ...cluster.NodeID) error {
	t.Helper()
	u := cluster.Update{Object: cluster.Object{ID: cluster.ObjectID{Type: typ, Owner: "o", ID: id}, Replicas: cluster.NewReplicaSet(on...),
		Size: int64(len(contents)), Sum: sha256.Sum256([]byte(contents))}}
	return c.Node(from).Update(context.Background(), u, bytes.NewReader([]byte(contents)))
}

// TestJoined: what two nodes wrote that could not see each other is all there in the end.
func TestJoined(t *testing.T) {
	c := New(3, types())
	id := cluster.ObjectID{Type: "set", Owner: "o", ID: "x"}
	c.SetFaults(2, Faults{Hung: true})
	if err := write(t, c, 1, "set", "x", "ab", 1, 2); err == nil {
		t.Error("an update that one node missed is no shortfall")
	}
	c.SetFaults(2, Faults{})
	c.SetFaults(1, Faults{Hung: true})
	if err := write(t, c, 2, "set", "x", "bc", 1, 2); err == nil {
		t.Error("an update that one node missed is no shortfall")
	}
	c.SetFaults(1, Faults{})
	for i := 0; c.Propagate() > 0; i++ {
		if i == 10 {
			t.Fatal("the nodes do not converge")
		}
	}
	for _, n := range []cluster.NodeID{1, 2} {
		if got, _ := c.Contents(n, id); string(got) != "abc" {
			t.Errorf("node %v has %q, want abc", n, got)
		}
	}
}

func TestReading(t *testing.T) {
	c, ctx := New(2, types()), context.Background()
	want := []string{"a", "b", "c", "d", "e", "f"}
	for _, id := range want {
		if err := write(t, c, 1, "set", id, id, 2); err != nil {
			t.Fatal(err)
		}
		if err := write(t, c, 1, "mail", id, id+"23456789", 2); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for after := ""; ; {
		page, more, err := c.Node(1).Contents(ctx, 2, "o", "set", after)
		if err != nil || len(page) > ContentsPage {
			t.Fatalf("Contents = %d, %v", len(page), err)
		}
		for _, p := range page {
			got = append(got, string(p.Contents))
		}
		if after = got[len(got)-1]; !more {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("Contents = %v, want %v", got, want)
	}
	d, err := c.Node(1).Derived(ctx, 2, "o", "mail", []string{"c", "x", "a", "b", "d"})
	if err != nil || len(d) != DerivedPage || string(d[0].Data) != "c23" || !cluster.IsKind(d[1].Err, cluster.KindNotFound) || string(d[2].Data) != "a23" {
		t.Errorf("Derived = %+v, %v", d, err)
	}
	for _, x := range []struct {
		offset, length int64
		want           string
	}{{0, 2, "a2"}, {3, -1, "456789"}, {7, 9, "89"}, {20, 5, ""}} {
		_, r, err := c.Node(1).OpenRange(ctx, 2, cluster.ObjectID{Type: "mail", Owner: "o", ID: "a"}, x.offset, x.length)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); err != nil || string(b) != x.want {
			t.Errorf("OpenRange(%d, %d) = %q, %v, want %q", x.offset, x.length, b, err, x.want)
		}
	}
}
