package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/cluster/identity"
	"porcupine/internal/cluster/node"
	"porcupine/internal/cluster/store"
	"porcupine/internal/config"
)

// Limits of the two doors.
const (
	commandTimeout    = 2 * time.Minute // of one admin command
	monitorTimeout    = 10 * time.Second
	headerTimeout     = 5 * time.Second
	headerBytesMax    = 16 << 10
	monitorIdleExpiry = time.Minute
)

// openDoors opens the admin socket and the monitoring listener.
func (d *daemon) openDoors(context.Context) error {
	server := &admin.Server{
		Directory: people{d}, Cluster: view{d}, Store: disk{d.store}, Logger: d.log, Timeout: commandTimeout,
	}
	path := filepath.Join(d.cfg.DataDir, admin.SocketName)
	ln, err := listenUnix(path)
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	d.serveHTTP("admin socket", ln, server.Handler())
	if d.cfg.HTTP.Listen == config.Off {
		return nil
	}
	ln, err = net.Listen("tcp", d.cfg.HTTP.Listen)
	if err != nil {
		return fmt.Errorf("http.listen: %w%s", err, advice(err))
	}
	monitor := &admin.Monitor{Cluster: view{d}, Metrics: d.metrics.handler(), Logger: d.log, Timeout: monitorTimeout}
	d.serveHTTP("monitoring", ln, monitor.Handler())
	return nil
}

// listenUnix opens the socket for the node's own user alone. A socket left over from a crash is
// removed: the store's lock has shown that no other process runs on this directory.
func listenUnix(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

func (d *daemon) serveHTTP(name string, ln net.Listener, h http.Handler) {
	s := &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: monitorIdleExpiry, MaxHeaderBytes: headerBytesMax}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ln) }()
	d.atEnd(name, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, headerTimeout)
		defer cancel()
		err := s.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, s.Close())
		}
		if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
			err = errors.Join(err, e)
		}
		return err
	})
}

// view shows the node to the doors.
type view struct{ d *daemon }

var _ admin.Cluster = view{}

func (v view) Ready() error { return v.d.node.Ready() }

func (v view) NewToken(context.Context) (string, time.Time, error) {
	token, err := v.d.id.IssueToken(v.d.ownAddresses(), identity.TokenTTLMax)
	if err != nil {
		return "", time.Time{}, err
	}
	return token.Text(), time.Now().Add(identity.TokenTTLMax), nil
}

// ownAddresses is where this node can be reached: a token is good at the node that issued it.
func (d *daemon) ownAddresses() []string {
	for _, k := range d.node.Known() {
		if k.ID == d.node.ID() {
			return []string{k.Addr}
		}
	}
	return nil
}

func (v view) Status(ctx context.Context) (admin.Status, error) {
	in, members := v.d.node.Members(ctx)
	s := admin.Status{Epoch: in.Epoch.String(), Node: v.d.node.ID(), Ready: v.d.node.Ready() == nil, Members: []admin.Member{}, Absent: []admin.Absent{}}
	for _, m := range members {
		s.Members = append(s.Members, member(m))
		s.IncompleteBuckets += m.Incomplete
		s.PendingUpdates += m.Pending
	}
	for _, k := range v.d.node.Known() {
		if !in.Contains(k.ID) {
			s.Absent = append(s.Absent, admin.Absent{ID: k.ID, Name: k.Name, Address: k.Addr, Sole: k.Sole})
		}
	}
	return s, nil
}

func member(m node.MemberStatus) admin.Member {
	r := admin.Member{
		ID: m.Member.ID, Name: m.Member.Name, Address: m.Member.Addr, Since: m.Member.Since.String(),
		Buckets: m.Buckets, Load: m.Load.Pending, DiskFree: m.Load.DiskFree, DiskFull: m.Load.DiskFull,
		Messages: m.Load.Objects, Users: m.Load.Owners, Version: m.Version,
	}
	if m.Err != nil {
		r.Error = m.Err.Error()
	}
	return r
}

// disk shows the store to the admin socket.
type disk struct{ store *store.Store }

var _ admin.Store = disk{}

func (s disk) Dump(ctx context.Context, w io.Writer) error { return s.store.Dump(ctx, w) }

func (s disk) Verify(ctx context.Context, report func(string)) error {
	return s.store.Verify(ctx, func(p store.Problem) { report(FaultLine(p)) })
}

// FaultLine writes a problem of a store as one line.
func FaultLine(p store.Problem) string { return fmt.Sprintf("%s: %s: %s", p.Kind, p.Object, p.Text) }

// snapshot is what the collector reads.
type snapshot struct {
	node      node.Metrics
	store     store.Metrics
	locks     int
	certEnd   float64
	leftovers int
}

func (d *daemon) snapshot() *snapshot {
	given, _ := d.locks.Held()
	return &snapshot{node: d.node.Metrics(), store: d.store.Metrics(), locks: given, certEnd: float64(d.id.NotAfter().Unix()), leftovers: d.delivery.Leftovers()}
}

// grace is how long running sessions may go on when the daemon stops: not at all when the disk
// has failed, since nothing can be acknowledged any more.
func (d *daemon) grace() time.Duration {
	if d.store.Metrics().Failed {
		return 0
	}
	return d.cfg.Limits.ShutdownGrace.D()
}
