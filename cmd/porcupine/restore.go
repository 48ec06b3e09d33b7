package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/archive"
	"porcupine/internal/cluster/identity"
	"porcupine/internal/cluster/store"
	"porcupine/internal/config"
	"porcupine/internal/mail"
	"porcupine/internal/mail/objects"
)

// injectFlags are what restore and reinject have in common.
type injectFlags struct {
	configFlag
	User           []string    `placeholder:"ADDRESS" help:"Only what belongs to this user, alias or domain. May be repeated."`
	DryRun         bool        `help:"Show what the cluster lacks, and change nothing."`
	Deleted        bool        `help:"Bring back users, aliases and domains too that were removed since."`
	AlthoughAbsent bool        `help:"Go on although nodes are absent. What lies on those alone is taken for lost."`
	Rate           config.Size `default:"32MiB" help:"Most contents sent in one second."`
	Work           string      `type:"path" placeholder:"DIR" help:"Where a copy of the store's small files is made to read from, for the time being. Default: beside the source."`
}

type restoreCmd struct {
	injectFlags
	From         string    `required:"" type:"path" placeholder:"DIR" help:"The backup directory."`
	Before       time.Time `format:"2006-01-02T15:04:05Z07:00" placeholder:"TIME" help:"Take the newest backups made before this time, for example 2026-01-31T12:00:00Z. Default: the newest."`
	OtherCluster bool      `help:"The backup is of another cluster: that which this one takes the place of."`
}

func (c *restoreCmd) Run(e *env) error {
	r, err := c.open(e)
	if err != nil {
		return err
	}
	nodes, err := archive.Nodes(c.From)
	if err != nil {
		return err
	}
	used, unused, err := c.round(e, r, nodes)
	if err == nil && r.tally.Unfinished() {
		// A user's profile was in a backup that came after that with the mail.
		fmt.Fprintln(e.errOut, "once more, for mail whose users came back only now:")
		used, unused, err = c.round(e, r, nodes)
	}
	if err != nil {
		return err
	}
	if used == 0 {
		return errors.Join(append(unused, fmt.Errorf("%s: no backup in it could be used", c.From))...)
	}
	if err := r.report(); err != nil {
		return err
	}
	if len(unused) > 0 {
		return fmt.Errorf("the backups of %d nodes could not be used, as said above: what they alone have is missing", len(unused))
	}
	return nil
}

// round injects what the nodes' backups have, one after the other.
func (c *restoreCmd) round(e *env, r *injection, nodes []cluster.NodeID) (used int, unused []error, err error) {
	for _, node := range nodes {
		m, err := archive.Newest(c.From, node, c.Before, func(err error) { fmt.Fprintln(e.errOut, "passed over:", err) })
		if cluster.IsKind(err, cluster.KindNotFound) && !c.Before.IsZero() {
			fmt.Fprintln(e.errOut, err) // it may be right that there was none so early
			continue
		}
		if err == nil {
			err = c.inject(e, r, m)
		}
		switch {
		case err == nil:
			used++
		case cluster.IsKind(err, cluster.KindNotFound), cluster.IsKind(err, cluster.KindCorrupt):
			// What is wrong with one node's backup does not keep from the cluster what the others have.
			err = fmt.Errorf("restore from the backup of node %s: %w", node, err)
			fmt.Fprintln(e.errOut, err)
			unused = append(unused, err)
		default:
			return used, unused, fmt.Errorf("restore from the backup of node %s: %w", node, err)
		}
	}
	return used, unused, nil
}

// inject injects what a backup has. KindCorrupt: it is damaged.
func (c *restoreCmd) inject(e *env, r *injection, m *archive.Manifest) error {
	id, err := m.ClusterID()
	if err != nil {
		return err
	}
	if id != r.cluster && !c.OtherCluster {
		return fmt.Errorf("it is of cluster %x, this is cluster %x: give --other-cluster if this cluster shall take its place", id, r.cluster)
	}
	fmt.Fprintf(e.errOut, "node %s, backup of %s, %s\n", m.Node, m.Taken.Local().Format(time.DateTime), mebibytes(m.Size()))
	return r.from(c.From, id, func(dir string) error { return archive.Clone(e.ctx, c.From, m, dir) })
}

type storeReinjectCmd struct {
	injectFlags
	Dir string `arg:"" type:"path" help:"The directory that was set aside."`
}

func (c *storeReinjectCmd) Run(e *env) error {
	r, err := c.open(e)
	if err != nil {
		return err
	}
	dir := c.Dir
	if info, err := os.Stat(filepath.Join(dir, "store")); err == nil && info.IsDir() {
		dir = filepath.Join(dir, "store")
	}
	err = r.from(filepath.Dir(dir), r.cluster, func(to string) error { return archive.CloneStore(e.ctx, dir, to) })
	if err != nil {
		return fmt.Errorf("reinject from %s: %w", dir, err)
	}
	return r.report()
}

// injection is one run of restore or reinject.
type injection struct {
	env     *env
	flags   *injectFlags
	client  *admin.Client
	cluster cluster.ID // the live one
	wanted  []string   // canonical; empty: everything
	tally   *archive.Tally
	named   map[string]*archive.Injected // what became of the owners wanted, all runs together
}

// open finds the live node, and refuses while what is missing may only be away.
func (f *injectFlags) open(e *env) (*injection, error) {
	cfg, err := f.load()
	if err != nil {
		return nil, err
	}
	id, err := identity.Load(identity.Dir(cfg.DataDir), identity.Options{})
	if err != nil {
		return nil, fmt.Errorf("a running node of the cluster must be on this machine: %w", err)
	}
	r := &injection{env: e, flags: f, client: admin.NewClient(filepath.Join(cfg.DataDir, admin.SocketName)), cluster: id.Cluster(),
		tally: archive.NewTally(), named: map[string]*archive.Injected{}}
	for _, text := range f.User {
		owner := ownerOf(text)
		r.wanted = append(r.wanted, owner)
		r.named[owner] = &archive.Injected{}
	}
	s, err := r.client.Status(e.ctx)
	if err != nil {
		return nil, err
	}
	if n := len(s.Absent); n > 0 && !f.AlthoughAbsent {
		return nil, fmt.Errorf("%d nodes are absent, and what lies on them only is not lost: start them first, or strike those that will not come back with 'porcupine node remove', or give --although-absent", n)
	}
	return r, nil
}

// ownerOf is the owner that an argument means: an address, or a domain.
func ownerOf(text string) string {
	if a, err := mail.ParseAddress(text); err == nil {
		return a.Canonical()
	}
	return text
}

// from injects what a store has. fill makes the directory that is opened; it is removed at the end.
func (r *injection) from(beside string, id cluster.ID, fill func(dir string) error) (err error) {
	parent := r.flags.Work
	if parent == "" {
		parent = beside
	}
	dir, err := os.MkdirTemp(parent, "reading-")
	if err != nil {
		return fmt.Errorf("a copy of the store to read from: %w: give --work DIR", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	clone := filepath.Join(dir, "store")
	if err := fill(clone); err != nil {
		return err
	}
	s, err := store.Open(store.Config{
		Dir: clone, ClusterID: id, Types: objects.Types(),
		Logger: slog.New(slog.NewTextHandler(r.env.errOut, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	return errors.Join(r.inject(r.env.ctx, s), s.Close())
}

func (r *injection) inject(ctx context.Context, s *store.Store) error {
	in := &archive.Injector{
		Store: s, Live: r.client, Profile: objects.IsProfile, Stays: objects.Outdated, Deleted: r.flags.Deleted, DryRun: r.flags.DryRun, Rate: int64(r.flags.Rate),
		Tally:  r.tally,
		Failed: func(what string, err error) { fmt.Fprintf(r.env.errOut, "%s: %v\n", what, err) },
	}
	if len(r.wanted) > 0 {
		in.Wants = func(owner string) bool { return slices.Contains(r.wanted, owner) }
		in.Owner = func(owner string, n archive.Injected) { r.named[owner].Add(n) }
	}
	if r.flags.DryRun {
		in.Report = func(o cluster.Object) {
			fmt.Fprintf(r.env.out, "%s %s %s %d bytes\n", o.ID.Type, o.ID.Owner, o.ID.ID, o.Size)
		}
	}
	_, err := in.Run(ctx)
	return err
}

// report says what became of it. Objects that could not be injected make the command fail, and so do
// named owners of which nothing could be given back.
func (r *injection) report() error {
	n, exact := r.tally.Sum()
	verb := "injected"
	if r.flags.DryRun {
		verb = "lacking"
	}
	fmt.Fprintf(r.env.out, "%d owners, %d objects: %d %s (%s), %d there already, %d removed since and left so, %d of owners that do not exist, %d failed\n",
		n.Owners, n.Objects, n.Put, verb, mebibytes(n.Bytes), n.Present, n.StayGone, n.Ownerless, n.Failed)
	if !exact {
		fmt.Fprintln(r.env.out, "There are so many objects that some are counted once for each node's backup.")
	}
	if n.Removed > 0 {
		fmt.Fprintf(r.env.out, "%d users, aliases or domains were removed since and are left so, with their mail: give --deleted to bring them back.\n", n.Removed)
	}
	none := 0
	for _, owner := range r.wanted {
		if why := nothingOf(r.named[owner]); why != "" {
			none++
			fmt.Fprintf(r.env.errOut, "%s: nothing could be given back: %s\n", owner, why)
		}
	}
	if n.Failed > 0 || none > 0 {
		return exitCode(exitFailed)
	}
	return nil
}

// nothingOf says why nothing was given back of an owner; empty: something was, or is there already.
func nothingOf(n *archive.Injected) string {
	switch {
	case n.Put+n.Present > 0:
		return ""
	case n.Owners == 0:
		return "the source has nothing of that name"
	case n.Removed > 0:
		return "it was removed since; give --deleted to bring it back"
	case n.Ownerless > 0:
		return "there is no such user, and the source has mail of that name but no profile: make the user, then do it again"
	case n.Failed > 0:
		return "all of it failed, as said above"
	}
	return "what the source has was removed since, or belongs to a former user of that name"
}
