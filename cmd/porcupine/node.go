package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"porcupine/internal/admin"
	"porcupine/internal/cluster/identity"
	"porcupine/internal/config"
	"porcupine/internal/daemon"
	"porcupine/internal/dev"
)

// configFlag is shared by all commands that concern one node.
type configFlag struct {
	Config string `help:"The node's configuration file. Default: none, the built-in defaults." type:"path" placeholder:"FILE"`
}

func (f *configFlag) load() (config.Config, error) { return config.Load(f.Config) }

// suffix is what a command that is suggested needs to concern the same node.
func (f *configFlag) suffix() string {
	if f.Config == "" {
		return ""
	}
	return " --config " + f.Config
}

// client speaks to the running node that the configuration describes.
func (f *configFlag) client() (*admin.Client, error) {
	c, err := f.load()
	if err != nil {
		return nil, err
	}
	return admin.NewClient(filepath.Join(c.DataDir, admin.SocketName)), nil
}

type serveCmd struct{ configFlag }

func (c *serveCmd) Run(e *env) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	return daemon.Run(e.ctx, cfg, e.errOut)
}

type devCmd struct {
	Nodes    int    `help:"Nodes to start." default:"3"`
	Dir      string `help:"Where everything lies; started again on it, the cluster resumes." default:"dev-cluster" type:"path"`
	PortBase int    `help:"Node N listens from this port + 100 N on. Default: 10000, or what the cluster in --dir has."`
	Users    int    `help:"Demo users u0, u1, ... to make." default:"10"`
	Add      bool   `help:"Start one more node beside the running cluster in --dir."`
}

func (c *devCmd) Run(e *env) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("dev: where this program lies: %w", err)
	}
	o := dev.Options{Dir: c.Dir, Nodes: c.Nodes, PortBase: c.PortBase, Users: c.Users, Program: program, Out: e.out}
	if c.Add {
		return dev.Add(e.ctx, o)
	}
	return dev.Run(e.ctx, o)
}

type initCmd struct{ configFlag }

func (c *initCmd) Run(e *env) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	id, err := identity.Init(identity.Dir(cfg.DataDir), identity.Options{})
	if err != nil {
		return err
	}
	flag := c.suffix()
	fmt.Fprintf(e.out, `A new cluster; this machine is its first node, %s.
Start it:             porcupine serve%s
Then take mail for:   porcupine domain add example.org%s
and give users:       porcupine user add someone@example.org%s
More machines:        porcupine token%s here, porcupine join there.
`, id.Node(), flag, flag, flag, flag)
	return nil
}

type tokenCmd struct{ configFlag }

func (c *tokenCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	token, expires, err := client.NewToken(e.ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(e.out, token)
	fmt.Fprintf(e.errOut, "On the new machine, before %s: porcupine join, and paste this line. It works once.\n", expires.Format("15:04:05"))
	return nil
}

// tokenReadMax bounds what join reads from standard input.
const tokenReadMax = 8 << 10

type joinCmd struct{ configFlag }

func (c *joinCmd) Run(e *env) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	line, err := bufio.NewReader(io.LimitReader(e.in, tokenReadMax)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("join: read the token from standard input: %w", err)
	}
	if strings.TrimSpace(line) == "" {
		return errors.New("join: there is nothing on standard input: it must be the line that 'porcupine token' prints on a running node (if that command stands before the '|', it has failed)")
	}
	token, err := identity.ParseToken(line)
	if err != nil {
		return fmt.Errorf("join: %w ('porcupine token' prints the line, on a running node)", err)
	}
	id, peers, err := identity.Join(e.ctx, identity.Dir(cfg.DataDir), token, identity.JoinOptions{})
	if err != nil {
		return err
	}
	if err := daemon.RememberPeers(cfg.DataDir, peers); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "This machine is node %s now. Start it: porcupine serve%s\n", id.Node(), c.suffix())
	return nil
}

type statusCmd struct {
	configFlag
	JSON bool `help:"Machine-readable."`
}

func (c *statusCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	s, err := client.Status(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(e.out)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	fmt.Fprintf(e.out, "epoch %s, %d members, %d absent, %d incomplete buckets, %d pending updates\n\n",
		s.Epoch, len(s.Members), len(s.Absent), s.IncompleteBuckets, s.PendingUpdates)
	if err := writeMembers(e.out, s); err != nil {
		return err
	}
	if s.Out != "" {
		fmt.Fprintf(e.out, "\nThis node is out: %s. The view above is its last one; the other nodes go on without it.\nIt comes back by itself when the disk answers. See to the disk.\n", s.Out)
	}
	writeUpkeep(e.out, s)
	for _, folder := range s.Aside {
		fmt.Fprintf(e.out, "\nSet aside on this node: %s\nPut back what nobody else has with 'porcupine store reinject %s', then remove the folder.\n", folder, folder)
	}
	return nil
}

func writeMembers(w io.Writer, s admin.Status) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	named := slices.ContainsFunc(s.Members, func(m admin.Member) bool { return m.Machine != "" }) ||
		slices.ContainsFunc(s.Absent, func(a admin.Absent) bool { return a.Machine != "" })
	machine := func(name string) string { // a column that is there only where nodes share machines
		if !named {
			return ""
		}
		return "\t" + name
	}
	fmt.Fprintf(t, "NODE\tNAME%s\tADDRESS\tSINCE EPOCH\tBUCKETS\tUSERS\tOBJECTS\tLOAD\tDISK FREE\tNOTE\n", machine("MACHINE"))
	for _, m := range s.Members {
		if m.Error != "" && m.DiskFree == 0 { // what it did not say is not 0; --json has the error
			fmt.Fprintf(t, "%s\t%s%s\t%s\t%s\t%d\t\t\t\t\tdoes not answer\n", m.ID, m.Name, machine(m.Machine), m.Address, sinceEpoch(m.Since), m.Buckets)
			continue
		}
		note := ""
		switch {
		case m.DiskFull:
			note = "disk full: takes no new mail"
		case m.Error != "":
			note = "does not say all"
		}
		fmt.Fprintf(t, "%s\t%s%s\t%s\t%s\t%d\t%d\t%d\t%d\t%.1f GiB\t%s\n", m.ID, m.Name, machine(m.Machine), m.Address, sinceEpoch(m.Since), m.Buckets,
			m.Users, m.Objects, m.Load, float64(m.DiskFree)/(1<<30), note)
	}
	for _, a := range s.Absent {
		note := "absent"
		if a.Sole {
			note = "absent, and may hold users or folder trees that lie nowhere else"
		}
		fmt.Fprintf(t, "%s\t%s%s\t%s\t\t\t\t\t\t\t%s\n", a.ID, a.Name, machine(a.Machine), a.Address, note)
	}
	return t.Flush()
}

// sinceEpoch gives the number of an epoch. Who coordinated it is left to --json: with it, the text looks like a point
// in time that nobody can read.
func sinceEpoch(epoch string) string {
	number, _, _ := strings.Cut(epoch, ".")
	return number
}

type nodeCmd struct {
	List   nodeListCmd   `cmd:"" help:"List all nodes, members or not, but for those that were removed."`
	Drain  nodeDrainCmd  `cmd:"" help:"Empty a node that shall leave: it takes nothing new, moves off what it has, leaves, and its process ends."`
	Remove nodeRemoveCmd `cmd:"" help:"Strike an absent node that will never come back, so that the others no longer count with it. Mail that lies on it alone is lost."`
}

type nodeRemoveCmd struct {
	configFlag
	ID string `arg:"" help:"The node's id, as 'porcupine node list' shows it."`
	fewerFlag
}

func (c *nodeRemoveCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := client.Forget(e.ctx, c.ID, c.FewerCopies); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "Node %s is struck: nothing waits for it any more, and it never comes back as itself.\n", c.ID)
	return nil
}

type nodeListCmd struct{ configFlag }

func (c *nodeListCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	s, err := client.Status(e.ctx)
	if err != nil {
		return err
	}
	return writeMembers(e.out, s)
}

type configCmd struct{}

func (c *configCmd) Run(e *env) error {
	return config.Example(e.out, config.Default("mail.example.org", "/var/lib/porcupine"))
}
