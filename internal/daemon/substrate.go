package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/feed"
	"porcupine/internal/cluster/identity"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/node"
	"porcupine/internal/cluster/store"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/upkeep"
	"porcupine/internal/config"
	"porcupine/internal/mail"
	"porcupine/internal/mail/delivery"
	"porcupine/internal/mail/directory"
	"porcupine/internal/mail/imapproxy"
	"porcupine/internal/mail/index"
	"porcupine/internal/mail/mailbox"
	"porcupine/internal/mail/objects"
	"porcupine/internal/mail/retrieval"
	"porcupine/internal/mail/sasl"
	"porcupine/internal/mail/smtpserver/spool"
	"porcupine/internal/mail/vault"
)

// daemon is the parts of one node.
type daemon struct {
	cfg     config.Config
	adjust  Adjust
	log     *slog.Logger
	closers []closer
	left    []<-chan struct{} // the ends of parts that did not stop in time
	phase   atomic.Int32

	failOnce sync.Once
	failed   chan struct{} // closed by fatal
	failure  error         // why; read after failed

	id        *identity.Identity
	store     *store.Store
	lastAlive time.Time // see away
	hasPeers  bool      // it was told where other nodes may be
	node      *node.Node
	upkeep    *upkeep.Upkeep
	drained   chan struct{} // closed when nothing is left on a node that drains
	port      *transport.Port
	advertise string // where other nodes reach this one

	directory *directory.Directory
	delivery  *delivery.Delivery
	retrieval *retrieval.Retrieval
	vault     *vault.Vault
	locks     *mailbox.Locks
	guard     *sasl.Guard
	feed      *feed.Feed
	indexes   *index.Indexes
	imap      *imapproxy.Proxy
	rooms     rooms
	imapSpool *spool.Spool
	metrics   *metrics
	certs     atomic.Pointer[certificates] // nil before the front ends are open
}

// openSubstrate opens what the node stands on: identity, disk, cluster port.
func (d *daemon) openSubstrate() error {
	if err := d.setAside(); err != nil {
		return err
	}
	id, err := identity.Load(identity.Dir(d.cfg.DataDir), identity.Options{Logger: d.log})
	if cluster.IsKind(err, cluster.KindNotFound) {
		return fmt.Errorf("%s holds no node yet: make a new cluster with 'porcupine init', or join one with 'porcupine join'", d.cfg.DataDir)
	}
	if err != nil {
		return err
	}
	d.id = id
	if err := d.openStore(); err != nil {
		return err
	}
	d.atEnd("store", func(context.Context) error { return d.store.Close() })
	if err := d.readAlive(); err != nil {
		return err
	}
	if err := d.writePID(); err != nil {
		return err
	}
	return d.openLink()
}

// How long a data directory that is in use is waited for: a process that was killed just now may
// still be on its way out.
const (
	lockWait  = time.Second
	lockRetry = 20 * time.Millisecond
)

func (d *daemon) openStore() (err error) {
	vaultFor, _ := d.cfg.Store.VaultFor.Time() // 0 when it is off
	cfg := store.Config{
		VaultFor: vaultFor,
		Dir:      filepath.Join(d.cfg.DataDir, storeName), ClusterID: d.id.Cluster(), Node: d.id.Node(), Types: objects.Types(),
		Logger: d.log, MinFree: int64(d.cfg.Store.MinFree), CacheSize: int64(d.cfg.Store.Cache), Grace: d.cfg.Upkeep.Grace.D(),
		Stamp: func() cluster.Timestamp { return d.node.JoinStamp() }, // nothing is joined before the node is there
		// After a failed write of the log nothing more may be acknowledged.
		OnFatal: func(err error) { d.fatal(fmt.Errorf("the disk failed: %w: see to it, then start the node again", err)) },
	}
	change(d.adjust.Store, &cfg)
	for began := time.Now(); ; {
		d.store, err = store.Open(cfg)
		if !cluster.IsKind(err, cluster.KindExists) {
			return err
		}
		if time.Since(began) > lockWait || !sleep(context.Background(), lockRetry) {
			return explainLock(d.cfg.DataDir, err)
		}
	}
}

func (d *daemon) openLink() error {
	ln, err := net.Listen("tcp", d.cfg.Cluster.Listen)
	if err != nil {
		return fmt.Errorf("cluster.listen: %w%s", err, advice(err))
	}
	door := &identity.Door{Identity: d.id, Known: d.addresses, Admit: d.admitNewcomer}
	port, err := transport.Open(transport.Config{Credentials: d.id, Listener: ln, Join: door.Serve, Logger: d.log})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	d.port = port
	d.atEnd("cluster port", port.Close)
	if d.advertise, err = advertised(d.cfg.Cluster, ln.Addr(), net.InterfaceAddrs); err != nil {
		return err
	}
	peers, err := rememberedPeers(d.cfg.DataDir)
	if err != nil {
		return err
	}
	c := d.cfg.Cluster
	d.hasPeers = len(peers)+len(c.Peers) > 0
	times := timings(c)
	times.Grace = d.cfg.Upkeep.Grace.D()
	cfg := node.Config{
		Self:    cluster.Endpoint{ID: d.id.Node(), Name: d.cfg.Name, Addr: d.advertise},
		Machine: d.cfg.Machine, Cluster: d.id.Cluster(), Version: Version(), Counted: mail.TypeUser, Store: d.store, Link: port,
		Peers:      append(peers, c.Peers...),
		Membership: times,
		Logger:     d.log,
		OnFatal:    d.fatal,
		OnStruck:   d.refused,
		OnDamaged:  d.damaged,
		IsLost:     d.isLost,
	}
	change(d.adjust.Node, &cfg)
	d.node, err = node.New(cfg)
	return err
}

// timings turns the configured times into those of the membership core: suspect_after is the sum
// of the pings missed before doubt and of the faster ones after.
func timings(c config.Cluster) membership.Config {
	const doubtPings = 12
	m := membership.Config{
		PingPeriod: c.PingInterval.D(), ReplyTimeout: c.ReplyTimeout.D(), ProbePeriod: c.ProbeEvery.D(),
		PingMissesDoubt: 2, DoubtMissesMax: doubtPings,
	}
	rest := c.SuspectAfter.D() - 2*m.PingPeriod
	m.DoubtPeriod = max(rest/doubtPings, 10*time.Millisecond)
	return m
}

// advertised is the address at which other nodes reach this one: what is configured, or the
// listener's own, or, if that takes connections for all addresses, the machine's first one that
// is not loopback. interfaces gives the machine's addresses.
func advertised(c config.Cluster, bound net.Addr, interfaces func() ([]net.Addr, error)) (string, error) {
	if c.Advertise != "" {
		return c.Advertise, nil
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(bound.String())
	if err != nil {
		return "", err
	}
	all := net.ParseIP(host)
	if host != "" && (all == nil || !all.IsUnspecified()) {
		return net.JoinHostPort(host, port), nil
	}
	addrs, err := interfaces()
	if err != nil {
		return "", fmt.Errorf("this machine's addresses: %w: set cluster.advertise", err)
	}
	for _, a := range addrs {
		ip, ok := a.(*net.IPNet)
		if !ok || !ip.IP.IsGlobalUnicast() {
			continue
		}
		if all.To4() != nil && ip.IP.To4() == nil {
			continue // 0.0.0.0 listens on IPv4 alone
		}
		return net.JoinHostPort(ip.IP.String(), port), nil
	}
	return net.JoinHostPort("127.0.0.1", port), nil
}

// addresses lists where nodes of the cluster can be found, for those that join.
func (d *daemon) addresses() []string {
	var addrs []string
	for _, k := range d.node.Known() {
		addrs = append(addrs, k.Addr)
	}
	return addrs
}

// admitNewcomer refuses the id of a node that is known already.
func (d *daemon) admitNewcomer(id cluster.NodeID) error {
	for _, k := range d.node.Known() {
		if k.ID == id {
			return cluster.Errorf(cluster.KindExists, "join", "node %s is known already", id)
		}
	}
	if d.node.Struck().Contains(id) {
		return cluster.Errorf(cluster.KindExists, "join", "node %s was struck: no other may take its id", id)
	}
	return nil
}

// startNode begins the node's life in the cluster, with every service registered.
func (d *daemon) startNode() error {
	d.atEnd("node", d.node.Stop)
	if err := d.node.Start(); err != nil {
		return err
	}
	d.background(d.id.Run, d.locks.Run, d.tellOfLogins, d.indexes.Run, d.imap.Run, d.widen, d.keepAlive, d.upkeep.Run, d.node.LearnMachines)
	return nil
}

// background runs each function until the daemon stops, which waits for them.
func (d *daemon) background(fs ...func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	for _, f := range fs {
		work.Go(func() { f(ctx) })
	}
	d.atEnd("background work", func(context.Context) error {
		cancel()
		work.Wait()
		return nil
	})
}
