package main

import (
	"errors"
	"fmt"

	"porcupine/internal/cluster/archive"
)

type backupCmd struct {
	Make   backupMakeCmd   `cmd:"" default:"withargs" help:"Copy the hard state of the node on this machine, while it runs, into a backup directory. Only what is new is copied. Run it on every node."`
	Verify backupVerifyCmd `cmd:"" help:"Read a backup directory and report every fault. Exit status 1 if there are faults."`
}

type backupMakeCmd struct {
	configFlag
	To   string `required:"" type:"path" placeholder:"DIR" help:"The backup directory, best on another machine's disk. Several nodes may share it."`
	Keep int    `default:"7" help:"Generations of this node to keep."`
}

// Validate says which numbers are allowed, BEFORE a checkpoint is made for nothing.
func (c *backupMakeCmd) Validate() error {
	return between("keep", c.Keep, 1, archive.KeepMax, "")
}

func (c *backupMakeCmd) Run(e *env) (err error) {
	client, err := c.client()
	if err != nil {
		return err
	}
	p, release, err := client.Checkpoint(e.ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	from := archive.Manifest{Cluster: p.Cluster}
	id, err := from.ClusterID()
	if err != nil {
		return err
	}
	done, err := archive.Backup(e.ctx, archive.Options{From: p.Dir, To: c.To, Cluster: id, Node: p.Node, Taken: p.Taken, Keep: c.Keep})
	if err != nil {
		return err
	}
	for _, d := range done.Damaged {
		fmt.Fprintf(e.errOut, "damaged, and copied anew: %s\n", d)
	}
	fmt.Fprintf(e.out, "node %s: %d files, %s; copied %d files, %s; read %d of earlier backups again, %d were damaged; removed %d old generations\n", p.Node,
		len(done.Manifest.Files), mebibytes(done.Manifest.Size()), done.Copied, mebibytes(done.Bytes), done.Reread, len(done.Damaged), done.Removed)
	return nil
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

type backupVerifyCmd struct {
	Dir string `arg:"" type:"path" help:"The backup directory."`
}

func (c *backupVerifyCmd) Run(e *env) error {
	done, err := archive.Verify(e.ctx, c.Dir, func(fault string) { fmt.Fprintln(e.out, fault) })
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%d nodes, %d generations, %d files, %s: %d faults\n", done.Nodes, done.Generations, done.Files, mebibytes(done.Bytes), done.Faults)
	if done.Faults > 0 {
		return exitCode(exitFailed)
	}
	return nil
}
