package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/identity"
	"porcupine/internal/cluster/store"
	"porcupine/internal/config"
	"porcupine/internal/mail/objects"
)

// joined makes a data directory of a node that has joined the cluster of client.
func joined(t *testing.T, client *admin.Client) config.Config {
	t.Helper()
	cfg := loopback(t)
	line, _, err := client.NewToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, err := identity.ParseToken(line)
	if err != nil {
		t.Fatal(err)
	}
	_, peers, err := identity.Join(t.Context(), identity.Dir(cfg.DataDir), token, identity.JoinOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := RememberPeers(cfg.DataDir, peers); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// await waits until the status of a node is as wanted.
func await(t *testing.T, client *admin.Client, what string, want func(admin.Status) bool) admin.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		s, err := client.Status(ctx)
		if err == nil && want(s) {
			return s
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not so after 30 s: %+v, %v", what, s, err)
		}
	}
}

func members(n int) func(admin.Status) bool {
	return func(s admin.Status) bool { return len(s.Members) == n }
}

// copyDir copies the data directory of a node that does not run.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(to, identity.FileName), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// aside gives the one folder that was set aside in a data directory, and checks that it is the
// store of that node.
func aside(t *testing.T, cfg config.Config, node cluster.NodeID) string {
	t.Helper()
	found, err := listAside(cfg.DataDir)
	if err != nil || len(found) != 1 || !strings.HasSuffix(found[0], "-"+node.String()) {
		t.Fatalf("set aside: %v, %v; want one folder of node %s", found, err, node)
	}
	if _, err := os.Stat(filepath.Join(cfg.DataDir, markerName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the marker: %v, want none", err)
	}
	return found[0]
}

// A node that was struck while it was away comes back by itself, as another node of the same cluster,
// and what it held is set aside. Nobody is paged.
func TestStruckNodeComesBackAsAnother(t *testing.T) {
	one, _, _ := start(t, loopback(t))
	cfg := joined(t, one)
	two, _, stop := start(t, cfg)
	struck := await(t, two, "two members", members(2)).Node
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	await(t, one, "one member", members(1))
	if err := one.Forget(t.Context(), struck.String(), true); err != nil {
		t.Fatal(err)
	}
	two, logs, stop := start(t, cfg)
	s := await(t, one, "two members", members(2))
	if slices.ContainsFunc(s.Members, func(m admin.Member) bool { return m.ID == struck }) {
		t.Errorf("members %+v: the struck node %s is back", s.Members, struck)
	}
	folder := aside(t, cfg, struck)
	if s := await(t, two, "another id", func(s admin.Status) bool { return s.Ready && s.Node != struck }); !slices.Equal(s.Aside, []string{folder}) {
		t.Errorf("status tells of %v set aside, want %v", s.Aside, folder)
	}
	for _, line := range []string{"hard state set aside", "porcupine store reinject", "why=struck"} {
		if !strings.Contains(logs.String(), line) {
			t.Errorf("the log lacks %q:\n%s", line, logs)
		}
	}
	if err := stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
	id, err := identity.Load(identity.Dir(cfg.DataDir), identity.Options{})
	if err != nil {
		t.Fatal(err)
	}
	old, err := store.Open(store.Config{Dir: folder, ClusterID: id.Cluster(), Node: struck, Types: objects.Types(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatalf("what was set aside cannot be opened: %v", err)
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
}

// A data directory that was put back from an old copy is refused, and set aside.
func TestRolledBackDirectoryIsSetAside(t *testing.T) {
	one, _, _ := start(t, loopback(t))
	cfg := joined(t, one)
	two, _, stop := start(t, cfg)
	node := await(t, two, "two members", members(2)).Node
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	old := copyDir(t, cfg.DataDir)
	two, _, stop = start(t, cfg)
	await(t, two, "two members", members(2))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	cfg.DataDir = old
	two, logs, _ := start(t, cfg)
	await(t, two, "another id", func(s admin.Status) bool { return s.Node != node && len(s.Members) == 2 })
	aside(t, cfg, node)
	if !strings.Contains(logs.String(), "why=rolled-back") {
		t.Errorf("the log does not say why:\n%s", logs)
	}
}

// A copy of the store that was made while the node ran, and put back with no start in between, is found
// out by the others, who remember how far that disk had come: it is set aside, and what the node held is
// repaired onto the empty one.
func TestR6_RolledBackWhileItRan(t *testing.T) {
	first := loopback(t)
	first.Upkeep.RepairAfter = config.Duration(time.Second)
	one, _, _ := start(t, first)
	cfg := joined(t, one)
	cfg.Upkeep = first.Upkeep
	two, _, stop := start(t, cfg)
	node := await(t, two, "two members", members(2)).Node
	dir, old := filepath.Join(cfg.DataDir, storeName), filepath.Join(t.TempDir(), "old")
	if err := os.CopyFS(old, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := one.AddDomain(t.Context(), admin.Domain{Domain: "x.example"}); err != nil {
		t.Fatal(err)
	}
	users := []string{"ann@x.example", "bob@x.example", "cid@x.example"}
	if err := one.AddUsers(t.Context(), users, "s3cret-one"); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(dir), os.Rename(old, dir)); err != nil {
		t.Fatal(err)
	}
	two, logs, _ := start(t, cfg)
	await(t, two, "another id", func(s admin.Status) bool { return s.Node != node && len(s.Members) == 2 })
	aside(t, cfg, node)
	if !strings.Contains(logs.String(), "why=rolled-back") {
		t.Errorf("the log does not say why:\n%s", logs)
	}
	var v admin.Verification
	await(t, one, "copies restored", func(admin.Status) bool {
		var err error
		v, err = one.VerifyCluster(t.Context(), admin.VerifyOptions{Contents: true})
		return err == nil && v.OK && v.UnderReplicated == 0 && v.Compared >= int64(len(users))
	})
	if list, err := two.ListUsers(t.Context(), "", 10); err != nil || len(list) != len(users) {
		t.Errorf("ListUsers = %v, %v; want %v", list, err, users)
	}
}

// One id started twice: the later process ends with an error that says what to do. The earlier one
// does not notice, and both directories stay as they are.
func TestTwinEnds(t *testing.T) {
	one, _, _ := start(t, loopback(t))
	cfg := joined(t, one)
	two, _, stop := start(t, cfg)
	await(t, two, "two members", members(2))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	twin := loopback(t)
	twin.DataDir = copyDir(t, cfg.DataDir)
	two, _, _ = start(t, cfg)
	epoch := await(t, two, "two members", members(2)).Epoch
	err := Run(t.Context(), twin, &text{})
	if err == nil || !strings.Contains(err.Error(), "another process runs as node") || !strings.Contains(err.Error(), "porcupine join") {
		t.Errorf("Run of a copy = %v, want an error that says what to do", err)
	}
	if found, err := listAside(twin.DataDir); err != nil || len(found) != 0 {
		t.Errorf("in the twin's directory %v was set aside, %v; want nothing", found, err)
	}
	if s := await(t, two, "ready", func(s admin.Status) bool { return s.Ready }); len(s.Members) != 2 || s.Epoch != epoch {
		t.Errorf("the first process is in epoch %s with %d members, want it left alone in %s", s.Epoch, len(s.Members), epoch)
	}
}

// A node of another cluster meets nobody, and says why; nor does a store of another cluster open.
func TestNodeOfAnotherCluster(t *testing.T) {
	cfg := loopback(t)
	one, _, _ := start(t, cfg)
	s := await(t, one, "ready", func(s admin.Status) bool { return s.Ready })
	stranger := loopback(t)
	stranger.Cluster.Peers = []string{s.Members[0].Address}
	two, logs, stop := start(t, stranger)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for !strings.Contains(logs.String(), "of cluster") {
		if !sleep(ctx, 10*time.Millisecond) {
			t.Fatalf("the log does not say that the peer is of another cluster:\n%s", logs)
		}
	}
	for _, c := range []*admin.Client{one, two} {
		if s := await(t, c, "ready", func(s admin.Status) bool { return s.Ready }); len(s.Members) != 1 {
			t.Errorf("members %+v, want each cluster for itself", s.Members)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	third := loopback(t)
	if _, err := identity.Init(identity.Dir(third.DataDir), identity.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(stranger.DataDir, storeName), filepath.Join(third.DataDir, storeName)); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), third, &text{}); !cluster.IsKind(err, cluster.KindDenied) || !strings.Contains(err.Error(), "the directory belongs to cluster") {
		t.Errorf("Run on a store of another cluster = %v, want kind denied, and whose it is", err)
	}
}

// Setting aside goes on after a crash at any moment.
func TestSetAsideAfterCrashes(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	for crash := range 5 {
		t.Run(fmt.Sprintf("after step %d", crash), func(t *testing.T) {
			cfg := loopback(t)
			id, err := identity.Init(identity.Dir(cfg.DataDir), identity.Options{})
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(cfg.DataDir, storeName)
			s, err := store.Open(store.Config{Dir: dir, ClusterID: id.Cluster(), Node: id.Node(), Types: objects.Types(), Logger: log})
			if err != nil {
				t.Fatal(err)
			}
			at := time.Date(2026, 11, 22, 3, 4, 5, 0, time.UTC)
			m := marker{Why: "struck", Node: id.Node(), At: at, Name: asideName(at, id.Node()), Peers: []string{"192.0.2.1:7190"}}
			if err := m.write(cfg.DataDir); err != nil {
				t.Fatal(err)
			}
			d := newDaemon(cfg, log)
			if err := d.setAside(); !cluster.IsKind(err, cluster.KindExists) {
				t.Errorf("setAside while the store is open = %v, want kind exists", err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if crash >= 1 {
				if err := os.Rename(dir, filepath.Join(cfg.DataDir, m.Name)); err != nil {
					t.Fatal(err)
				}
			}
			if crash >= 2 {
				if _, err := identity.Replace(identity.Dir(cfg.DataDir), identity.Options{}); err != nil {
					t.Fatal(err)
				}
			}
			if crash >= 3 {
				if err := RememberPeers(cfg.DataDir, m.Peers); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // the second time there is nothing to do
				if err := d.setAside(); err != nil {
					t.Fatalf("setAside = %v", err)
				}
			}
			if folder := aside(t, cfg, id.Node()); folder != filepath.Join(cfg.DataDir, "aside-20261122T030405Z-"+id.Node().String()) {
				t.Errorf("set aside in %s", folder)
			}
			if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the store: %v, want none", err)
			}
			now, err := identity.Load(identity.Dir(cfg.DataDir), identity.Options{})
			if err != nil || now.Node() == id.Node() || now.Cluster() != id.Cluster() {
				t.Errorf("the identity is %v, %v; it was %v", now, err, id)
			}
			if peers, err := rememberedPeers(cfg.DataDir); err != nil || !slices.Equal(peers, m.Peers) {
				t.Errorf("peers %v, %v; want %v", peers, err, m.Peers)
			}
		})
	}
}

// A store that takes long to close does not keep a refused node from its new life in the same process: that waits for
// it. Other failures wait for nothing.
func TestRefusedNodeWaitsForItsStore(t *testing.T) {
	cfg := loopback(t)
	log := slog.New(slog.DiscardHandler)
	id, err := identity.Init(identity.Dir(cfg.DataDir), identity.Options{})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		const slow = 10 * (stopTimeoutFailed + abandonAfterExpiry)
		s, err := store.Open(store.Config{Dir: filepath.Join(cfg.DataDir, storeName), ClusterID: id.Cluster(), Node: id.Node(), Types: objects.Types(), Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		d := newDaemon(cfg, log)
		d.atEnd("store", func(context.Context) error { <-time.After(slow); return s.Close() })
		now := time.Now()
		m := marker{Why: "struck", Node: id.Node(), At: now, Name: asideName(now, id.Node())}
		d.fatal(&refusedError{m})
		d.end(t.Context(), fmt.Errorf("node stopped: %w", errors.Join(d.failure, d.stop())))
		if err := m.write(cfg.DataDir); err != nil {
			t.Fatal(err)
		}
		if err := newDaemon(cfg, log).setAside(); err != nil {
			t.Errorf("the new life: %v", err)
		}
		aside(t, cfg, id.Node())

		for what, ends := range map[string]func(d *daemon) (context.Context, error){
			"another failure": func(*daemon) (context.Context, error) { return t.Context(), errors.New("disk") },
			"told to stop": func(d *daemon) (context.Context, error) {
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				return ctx, d.failure
			},
		} {
			d := newDaemon(cfg, log)
			d.atEnd("store", func(context.Context) error { <-time.After(slow); return nil })
			d.fatal(&refusedError{m})
			began := time.Now()
			d.end(ends(d))
			if took := time.Since(began); took > stopTimeoutFailed+abandonAfterExpiry {
				t.Errorf("%s: the end took %v", what, took)
			}
		}
		<-time.After(slow) // what was left behind ends in the bubble
	})
}

// A damaged marker stops the node, with advice: nothing is guessed about hard state.
func TestDamagedMarker(t *testing.T) {
	cfg := loopback(t)
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"{", `{"name":"../x"}`, `{"name":"store"}`, `{}`} {
		if err := os.WriteFile(filepath.Join(cfg.DataDir, markerName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := newDaemon(cfg, slog.New(slog.DiscardHandler)).setAside(); err == nil || !strings.Contains(err.Error(), "remove the file") {
			t.Errorf("setAside with the marker %s = %v, want advice", text, err)
		}
	}
}
