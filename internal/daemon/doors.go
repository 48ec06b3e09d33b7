package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
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
	doorConnsMax      = 256             // connections of one door at once; more wait to be accepted
	doorGrace         = 2 * time.Second // of requests under way when the node stops
)

// openDoors opens the admin socket and the monitoring listener. They are open before the front
// ends and close after them, so that a node can be watched while it starts and while it drains.
func (d *daemon) openDoors() error {
	server := &admin.Server{
		Directory: people{d}, Cluster: view{d}, Store: disk{d.store}, Keeper: keeper{d}, Archive: &archivist{d: d}, Vault: deletedMail{d}, Transfer: transfer{d, newParts()}, Logger: d.log, Timeout: commandTimeout,
	}
	ln, err := admin.Listen(filepath.Join(d.cfg.DataDir, admin.SocketName))
	if err != nil {
		return err
	}
	d.serveHTTP("admin socket", ln, &http.Server{Handler: server.Handler(), ReadHeaderTimeout: headerTimeout})
	if d.cfg.HTTP.Listen == config.Off {
		return nil
	}
	ln, err = net.Listen("tcp", d.cfg.HTTP.Listen)
	if err != nil {
		return fmt.Errorf("http.listen: %w%s", err, advice(err))
	}
	monitor := &admin.Monitor{Cluster: view{d}, Metrics: d.metrics.handler(), Logger: d.log, Timeout: monitorTimeout}
	// No request there has a body, and no answer takes long.
	d.serveHTTP("monitoring", ln, &http.Server{Handler: monitor.Handler(), ReadTimeout: headerTimeout, WriteTimeout: 2 * monitorTimeout})
	return nil
}

// serveHTTP serves a door until the daemon stops, which waits for every request: first for its
// end, then, after doorGrace, with its context cancelled.
func (d *daemon) serveHTTP(name string, ln net.Listener, s *http.Server) {
	life, end := context.WithCancel(context.Background())
	var requests sync.WaitGroup
	h := s.Handler
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		defer requests.Done()
		h.ServeHTTP(w, r)
	})
	s.ReadHeaderTimeout, s.IdleTimeout, s.MaxHeaderBytes = headerTimeout, monitorIdleExpiry, headerBytesMax
	s.BaseContext = func(net.Listener) context.Context { return life }
	s.ErrorLog = slog.NewLogLogger(d.log.With("door", name).Handler(), slog.LevelDebug)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Serve(limit(ln, doorConnsMax)); !errors.Is(err, http.ErrServerClosed) {
			d.fatal(fmt.Errorf("%s: %w", name, err))
		}
	}()
	d.atEnd(name, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, doorGrace)
		defer cancel()
		err := s.Shutdown(ctx)
		end()
		if errors.Is(err, context.DeadlineExceeded) {
			d.log.Warn("requests were cut off", "door", name)
			err = s.Close()
		}
		<-ended
		requests.Wait()
		return err
	})
}

// view shows the node to the doors.
type view struct{ d *daemon }

var _ admin.Cluster = view{}

// Ready is nil while the front ends are open and the node answers for all its buckets.
func (v view) Ready() error {
	switch v.d.phase.Load() {
	case phaseStarting:
		return cluster.Errorf(cluster.KindUnavailable, "node", "starting")
	case phaseStopping:
		return cluster.Errorf(cluster.KindUnavailable, "node", "stopping")
	}
	return v.d.node.Ready()
}

func (v view) NewToken(context.Context) (string, time.Time, error) {
	// A token is good at the node that issued it.
	token, err := v.d.id.IssueToken([]string{v.d.advertise}, identity.TokenTTLMax)
	if err != nil {
		return "", time.Time{}, err
	}
	return token.Text(), time.Now().Add(identity.TokenTTLMax), nil
}

func (v view) Forget(ctx context.Context, id cluster.NodeID, fewerCopies bool) error {
	if !fewerCopies && !v.d.node.View().Contains(id) { // a member is refused for another reason
		if err := v.d.enoughStay(ctx, "remove node "+id.String(), id); err != nil {
			return err
		}
	}
	return v.d.node.Forget(ctx, id)
}

func (v view) Status(ctx context.Context) (admin.Status, error) {
	in, members := v.d.node.Members(ctx)
	s := admin.Status{Epoch: in.Epoch.String(), Node: v.d.node.ID(), Ready: v.Ready() == nil, Members: []admin.Member{}, Absent: []admin.Absent{}}
	if out := v.d.node.Outage(); out != nil {
		s.Out = fmt.Sprintf("its disk does not answer, %s since %s", out.What, out.Since.UTC().Format(time.RFC3339))
	}
	for _, m := range members {
		if m.Err != nil {
			m.Machine = v.d.node.MachineOf(m.Member.ID)
		}
		s.Members = append(s.Members, member(m))
		s.IncompleteBuckets += m.Incomplete
		s.PendingUpdates += m.Pending
	}
	v.d.addUpkeep(ctx, s.Members)
	for _, k := range v.d.node.Known() {
		if !in.Contains(k.ID) {
			s.Absent = append(s.Absent, admin.Absent{ID: k.ID, Name: k.Name, Address: k.Addr, Machine: v.d.node.MachineOf(k.ID), Sole: k.Sole})
		}
	}
	var err error
	s.Aside, err = listAside(v.d.cfg.DataDir)
	return s, err
}

func member(m node.MemberStatus) admin.Member {
	r := admin.Member{
		ID: m.Member.ID, Name: m.Member.Name, Address: m.Member.Addr, Machine: m.Machine, Since: m.Member.Since.String(),
		Buckets: m.Buckets, Load: m.Load.Pending, DiskFree: m.Load.DiskFree, DiskFull: m.Load.DiskFull,
		Objects: m.Load.Objects, Users: m.Counted, Version: m.Version,
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

// grace is how long running sessions may go on when the daemon stops: not at all when the node
// has failed, since nothing can be acknowledged any more.
func (d *daemon) grace() time.Duration {
	if d.hasFailed() {
		return 0
	}
	return d.cfg.Limits.ShutdownGrace.D()
}
