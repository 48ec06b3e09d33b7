package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/identity"
	"porcupine/internal/cluster/store"
	"porcupine/internal/config"
	"porcupine/internal/daemon"
	"porcupine/internal/mail/objects"
)

type storeCmd struct {
	Verify storeVerifyCmd `cmd:"" help:"Read everything that the node holds and report every fault. The node may run or not. Exit status 1 if there are faults."`
	Dump   storeDumpCmd   `cmd:"" help:"Print every record that the node holds, one JSON object a line, without contents."`

	Reinject storeReinjectCmd `cmd:"" help:"Give the cluster what a data directory that was set aside has and no node of the cluster. Try --dry-run first."`
}

type storeVerifyCmd struct{ configFlag }

func (c *storeVerifyCmd) Run(e *env) error {
	faults := 0
	report := func(fault string) {
		faults++
		fmt.Fprintln(e.out, fault)
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	err = client.Verify(e.ctx, report)
	if errors.Is(err, admin.ErrNotRunning) {
		err = c.stopped(func(s *store.Store) error {
			return s.Verify(e.ctx, func(p store.Problem) { report(daemon.FaultLine(p)) })
		})
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%d faults\n", faults)
	if faults > 0 {
		return exitCode(exitFailed)
	}
	return nil
}

type storeDumpCmd struct{ configFlag }

func (c *storeDumpCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	err = client.Dump(e.ctx, e.out)
	if errors.Is(err, admin.ErrNotRunning) {
		err = c.stopped(func(s *store.Store) error { return s.Dump(e.ctx, e.out) })
	}
	return err
}

// stopped opens the store of a node that does not run.
func (f *configFlag) stopped(do func(*store.Store) error) error {
	cfg, err := config.Load(f.Config)
	if err != nil {
		return err
	}
	id, err := identity.Load(identity.Dir(cfg.DataDir), identity.Options{})
	if cluster.IsKind(err, cluster.KindNotFound) {
		return fmt.Errorf("%s holds no node: give the --config of one that does", cfg.DataDir)
	}
	if err != nil {
		return err
	}
	s, err := store.Open(store.Config{
		Dir: filepath.Join(cfg.DataDir, "store"), ClusterID: id.Cluster(), Node: id.Node(), Types: objects.Types(),
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
		OnFatal: func(err error) {
			fmt.Fprintln(os.Stderr, "porcupine: the disk failed:", err)
			os.Exit(exitFailed)
		},
	})
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}
