package directory

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
)

// Writing to the postmaster does not make every node search its names each time, and follows a
// change of domains at once.
func TestPostmasterOfTheFirstDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		ctx := context.Background()
		w.addDomain("b.test", DomainSettings{})
		w.addDomain("a.test", DomainSettings{CatchAll: addr(t, "postmaster@b.test")})
		w.addUsers("postmaster@b.test")
		resolve := func(wantScans int64) {
			t.Helper()
			before := w.Scans.Load()
			got, err := w.dirs[0].Resolve(ctx, mail.Address{Local: "postmaster"})
			if users(got) != "postmaster@b.test" || err != nil || w.Scans.Load()-before != wantScans {
				t.Errorf("Resolve(postmaster) = %q, %v with %d scans, want %d", users(got), err, w.Scans.Load()-before, wantScans)
			}
		}
		resolve(1)
		resolve(0)
		time.Sleep(postmasterKept)
		resolve(1)
		if err := w.dirs[1].RemoveDomain(ctx, "a.test"); err != nil {
			t.Fatal(err)
		}
		resolve(1)
		resolve(0)
	})
}

// deaf is a node whose calls to others are refused.
type deaf struct{ *clustertest.Node }

func (deaf) Owners(context.Context, cluster.ObjectType, string, int) ([]cluster.CachedObject, error) {
	return nil, cluster.Errorf(cluster.KindDenied, "list", "certificate is not good")
}

// V1: that the other nodes refuse to answer says nothing about the postmaster.
func TestV1_PostmasterWhenNodesRefuse(t *testing.T) {
	w := newWorld(t, 2)
	d, err := New(deaf{w.Node(1)}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Resolve(context.Background(), mail.Address{Local: "postmaster"}); kind(err) != "unavailable" {
		t.Errorf("Resolve(postmaster) = %v, want unavailable", err)
	}
}

// A broken alias is warned of, but not once for each message to it.
func TestBrokenAliasWarnsNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := newWorldWith(t, 1, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ctx := context.Background()
		w.addDomain("x.test", DomainSettings{})
		w.addUsers("u@x.test", "v@x.test")
		if err := w.dirs[0].AddAlias(ctx, addr(t, "team@x.test"), []mail.Address{addr(t, "u@x.test"), addr(t, "v@x.test")}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.dirs[0].RemoveUser(ctx, "v@x.test"); err != nil {
			t.Fatal(err)
		}
		for range 25 {
			if got, err := w.dirs[0].Resolve(ctx, addr(t, "team@x.test")); users(got) != "u@x.test" || err != nil {
				t.Fatalf("Resolve = %q, %v", users(got), err)
			}
			time.Sleep(time.Second)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 3 {
			t.Errorf("%d warnings in 25 s, want 3", n)
		}
	})
}
