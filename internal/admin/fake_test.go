package admin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// fakeDirectory keeps users, domains and aliases in memory.
type fakeDirectory struct {
	mu        sync.Mutex
	users     map[string]User
	passwords map[string]string
	domains   map[string]Domain
	aliases   map[string]Alias
	fail      error // of every call, if not nil
	many      int   // calls of AddUsers
}

func newFakeDirectory() *fakeDirectory {
	return &fakeDirectory{users: map[string]User{}, passwords: map[string]string{}, domains: map[string]Domain{}, aliases: map[string]Alias{}}
}

func (d *fakeDirectory) do(f func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return d.fail
	}
	return f()
}

func add[T any](m map[string]T, name string, v T) error {
	if _, ok := m[name]; ok {
		return cluster.Errorf(cluster.KindExists, "add "+name, "it is there")
	}
	m[name] = v
	return nil
}

func remove[T any](m map[string]T, name string) error {
	if _, ok := m[name]; !ok {
		return cluster.Errorf(cluster.KindNotFound, "remove "+name, "does not exist")
	}
	delete(m, name)
	return nil
}

func pageOf[T any](m map[string]T, after string, limit int) (items []T) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if name > after && len(items) < limit {
			items = append(items, m[name])
		}
	}
	return items
}

func (d *fakeDirectory) AddUser(_ context.Context, address, password string) error {
	return d.do(func() error {
		d.passwords[address] = password
		return add(d.users, address, User{Address: address})
	})
}

func (d *fakeDirectory) AddUsers(_ context.Context, addresses []string, password string) error {
	return d.do(func() error {
		d.many++
		for _, a := range addresses {
			d.users[a], d.passwords[a] = User{Address: a}, password
		}
		return nil
	})
}

func (d *fakeDirectory) SetPassword(_ context.Context, address, password string) error {
	return d.do(func() error {
		d.passwords[address] = password
		return nil
	})
}

func (d *fakeDirectory) EditUser(_ context.Context, address string, c UserChange) error {
	return d.do(func() error {
		u, ok := d.users[address]
		if !ok {
			return cluster.Errorf(cluster.KindNotFound, "change user "+address, "does not exist")
		}
		if c.QuotaBytes != nil {
			u.QuotaBytes = *c.QuotaBytes
		}
		if c.QuotaMessages != nil {
			u.QuotaMessages = *c.QuotaMessages
		}
		if c.Disabled != nil {
			u.Disabled = *c.Disabled
		}
		if c.Copies != nil {
			u.Copies = *c.Copies
		}
		d.users[address] = u
		return nil
	})
}

func (d *fakeDirectory) RemoveUser(_ context.Context, address string) error {
	return d.do(func() error { return remove(d.users, address) })
}

func (d *fakeDirectory) ListUsers(_ context.Context, after string, limit int) (l []User, err error) {
	err = d.do(func() error { l = pageOf(d.users, after, limit); return nil })
	return l, err
}

func (d *fakeDirectory) ShowUser(_ context.Context, address string) (u UserDetail, err error) {
	err = d.do(func() (err error) {
		var ok bool
		if u.User, ok = d.users[address]; !ok {
			err = cluster.Errorf(cluster.KindNotFound, "show user "+address, "does not exist")
		}
		return err
	})
	return u, err
}

// fakeVault has one deleted message of every user.
type fakeVault struct {
	since time.Time
	asked []string
}

func (v *fakeVault) ListDeleted(_ context.Context, address string, since time.Time) (DeletedList, error) {
	v.since = since
	return DeletedList{Messages: []Deleted{{ID: "of " + address, Size: 3, Deleted: time.Unix(1000, 5).UTC(), Nodes: []cluster.NodeID{42}}}, Silent: []cluster.NodeID{43}}, nil
}

func (v *fakeVault) Restore(_ context.Context, address string, ids []string) (all []Restored, err error) {
	v.asked = append(v.asked, fmt.Sprint(address, " ", len(ids)))
	for _, id := range ids {
		all = append(all, Restored{ID: id})
	}
	if len(all) > 1 {
		all[1] = Restored{ID: all[1].ID, Kind: cluster.KindExists, Error: "it is there"}
	}
	return all, nil
}

func (d *fakeDirectory) AddDomain(_ context.Context, x Domain) error {
	return d.do(func() error { return add(d.domains, x.Domain, x) })
}

func (d *fakeDirectory) SetDomain(_ context.Context, x Domain) error {
	return d.do(func() error { d.domains[x.Domain] = x; return nil })
}

func (d *fakeDirectory) RemoveDomain(_ context.Context, name string) error {
	return d.do(func() error { return remove(d.domains, name) })
}

func (d *fakeDirectory) ListDomains(_ context.Context, after string, limit int) (l []Domain, err error) {
	err = d.do(func() error { l = pageOf(d.domains, after, limit); return nil })
	return l, err
}

func (d *fakeDirectory) AddAlias(_ context.Context, alias string, targets []string) error {
	return d.do(func() error { d.aliases[alias] = Alias{alias, targets}; return nil })
}

func (d *fakeDirectory) RemoveAlias(_ context.Context, alias string) error {
	return d.do(func() error { return remove(d.aliases, alias) })
}

func (d *fakeDirectory) ListAliases(_ context.Context, after string, limit int) (l []Alias, err error) {
	err = d.do(func() error { l = pageOf(d.aliases, after, limit); return nil })
	return l, err
}

// fakeCluster has one member.
type fakeCluster struct {
	mu        sync.Mutex
	notReady  int // so many times Ready is an error
	fail      error
	forgotten []cluster.NodeID
	fewer     bool // as Forget was told last
}

func (c *fakeCluster) Status(context.Context) (Status, error) {
	return Status{Epoch: "3.000000000000002a", Node: 42, Ready: true, Members: []Member{{ID: 42, Name: "one", Buckets: 4096}}, Absent: []Absent{}}, c.fail
}

func (c *fakeCluster) Ready() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.notReady > 0 {
		c.notReady--
		return cluster.Errorf(cluster.KindUnavailable, "node", "7 of 4096 buckets are not complete yet")
	}
	return nil
}

func (c *fakeCluster) NewToken(context.Context) (string, time.Time, error) {
	return "token-text", time.Unix(1000, 0), c.fail
}

func (c *fakeCluster) Forget(_ context.Context, id cluster.NodeID, fewer bool) error {
	c.forgotten, c.fewer = append(c.forgotten, id), fewer
	return c.fail
}

// fakeStore has the faults and the dump given.
type fakeStore struct {
	faults []string
	dump   []string
	fail   error // after them
}

func (s *fakeStore) Verify(_ context.Context, report func(string)) error {
	for _, f := range s.faults {
		report(f)
	}
	return s.fail
}

func (s *fakeStore) Dump(_ context.Context, w io.Writer) error {
	for _, line := range s.dump {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return s.fail
}

// door is a server on a socket, its fakes and a client.
type door struct {
	directory *fakeDirectory
	cluster   *fakeCluster
	store     *fakeStore
	keeper    *fakeKeeper
	vault     *fakeVault
	archive   *fakeArchive
	client    *Client
	log       *strings.Builder // read after the server has ended
	close     func()
}

func open(t *testing.T) *door {
	t.Helper()
	d := &door{directory: newFakeDirectory(), cluster: &fakeCluster{}, store: &fakeStore{}, keeper: &fakeKeeper{draining: map[cluster.NodeID]bool{}}, vault: &fakeVault{}, archive: &fakeArchive{released: make(chan struct{})}, log: &strings.Builder{}}
	s := &Server{Directory: d.directory, Cluster: d.cluster, Store: d.store, Keeper: d.keeper, Vault: d.vault, Archive: d.archive, Timeout: time.Minute,
		Logger: slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	path := t.TempDir() + "/" + SocketName
	ln, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s.Handler(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := server.Serve(ln); err != http.ErrServerClosed {
			t.Errorf("Serve = %v", err)
		}
	}()
	d.close = sync.OnceFunc(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		<-ended
	})
	t.Cleanup(d.close)
	d.client = NewClient(path)
	return d
}
