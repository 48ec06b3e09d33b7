package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/cluster/identity"
)

// Options are the flags of `porcupine dev`.
type Options struct {
	Dir      string
	Nodes    int
	PortBase int
	Users    int
	Program  string // the porcupine binary: this one
	Out      io.Writer
}

// ReadyTimeout bounds the start of a cluster.
const ReadyTimeout = time.Minute

// Run starts the cluster or resumes it, prints how to use it and then a line "ready", and stops
// the nodes when ctx ends. A node that dies on the way is reported, not restarted.
func Run(ctx context.Context, o Options) error {
	if o.Nodes < 1 || o.Nodes > NodesMax {
		return fmt.Errorf("dev: --nodes %d: from 1 to %d", o.Nodes, NodesMax)
	}
	state, err := o.plan()
	if err != nil {
		return err
	}
	c := &group{o: o, state: state}
	defer c.stop()
	if err := c.up(ctx); err != nil {
		return errors.Join(err, c.stop())
	}
	fmt.Fprint(o.Out, howTo(&c.state, o.Dir))
	fmt.Fprintln(o.Out, "ready")
	c.watch(ctx)
	return c.stop()
}

// Add starts one more node beside a running cluster in the same directory, prints "ready" when
// it is a member and serves, and stops that node when ctx ends.
func Add(ctx context.Context, o Options) error {
	state, err := LoadState(o.Dir)
	if err != nil {
		return fmt.Errorf("%w: start the cluster first: porcupine dev --dir %s", err, o.Dir)
	}
	number := len(state.Nodes) + 1
	if number > NodesMax {
		return fmt.Errorf("dev: the cluster has %d nodes, the most for one development cluster", NodesMax)
	}
	n := newNode(o.Dir, state.PortBase, number)
	if err := n.writeConfig(state.Nodes); err != nil {
		return err
	}
	c := &group{o: o, state: state}
	defer c.stop()
	ctxUp, cancel := context.WithTimeout(ctx, ReadyTimeout)
	defer cancel()
	if err := c.join(ctxUp, &n); err != nil {
		return err
	}
	c.state.Nodes = append(c.state.Nodes, n)
	if err := c.launch(&c.state.Nodes[number-1]); err != nil {
		return err
	}
	if err := c.state.save(o.Dir); err != nil {
		return err
	}
	p := c.processes[0]
	err = p.await(ctxUp, "the node to be a member and to serve", func(s admin.Status) bool {
		return s.Ready && len(s.Members) > 1
	})
	if err != nil {
		return errors.Join(err, c.stop())
	}
	fmt.Fprintf(o.Out, "%s is a member: SMTP %d, POP3 %d, HTTP %d\nready\n", n.Name, n.Ports.SMTP, n.Ports.POP3, n.Ports.HTTP)
	c.watch(ctx)
	return c.stop()
}

// plan reads the state of an earlier run or makes a new one, and writes what is missing.
func (o *Options) plan() (State, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return State{}, fmt.Errorf("dev: %w", err)
	}
	o.Dir = dir
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return State{}, fmt.Errorf("dev: %w", err)
	}
	state, err := LoadState(dir)
	if errors.Is(err, fs.ErrNotExist) {
		state = State{PortBase: o.PortBase, Domain: Domain, Password: Password}
	} else if err != nil {
		return State{}, err
	}
	state.Users = max(state.Users, o.Users)
	for i := len(state.Nodes); i < o.Nodes; i++ {
		state.Nodes = append(state.Nodes, newNode(dir, state.PortBase, i+1))
	}
	for i := range state.Nodes {
		// The directory may have been moved; ports stay as they were.
		state.Nodes[i].Dir = filepath.Join(dir, state.Nodes[i].Name)
		state.Nodes[i].Config = filepath.Join(state.Nodes[i].Dir, "porcupine.toml")
		if err := state.Nodes[i].writeConfig(state.Nodes); err != nil {
			return State{}, err
		}
	}
	return state, nil
}

// group is the node processes that this process started.
type group struct {
	o         Options
	state     State
	processes []*process
	stopOnce  sync.Once
	stopErr   error
}

// up brings all nodes up: those with an identity at once, the others by joining the first.
func (c *group) up(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ReadyTimeout)
	defer cancel()
	first := &c.state.Nodes[0]
	if !first.hasIdentity() {
		if _, err := identity.Init(identity.Dir(first.Dir), identity.Options{}); err != nil {
			return fmt.Errorf("dev: %s: %w", first.Name, err)
		}
	}
	var later []*Node
	for i := range c.state.Nodes {
		if n := &c.state.Nodes[i]; !n.hasIdentity() {
			later = append(later, n)
		} else if err := c.launch(n); err != nil {
			return err
		}
	}
	for _, n := range later {
		if err := c.processes[0].await(ctx, "the first node", func(admin.Status) bool { return true }); err != nil {
			return err
		}
		if err := c.join(ctx, n); err != nil {
			return err
		}
		if err := c.launch(n); err != nil {
			return err
		}
	}
	if err := c.state.save(c.o.Dir); err != nil {
		return err
	}
	if err := c.settle(ctx); err != nil {
		return err
	}
	return c.populate(ctx)
}

func (n *Node) hasIdentity() bool {
	_, err := os.Stat(filepath.Join(n.Dir, identity.FileName))
	return err == nil
}

func (c *group) launch(n *Node) error {
	for _, port := range []int{n.Ports.SMTP, n.Ports.Cluster} {
		addr := net.JoinHostPort(Host, strconv.Itoa(port))
		if conn, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
			conn.Close()
			return fmt.Errorf("dev: something listens on %s already: is the cluster running? Else choose other ports with --port-base and --dir", addr)
		}
	}
	p, err := start(c.o.Program, n)
	if err != nil {
		return err
	}
	c.processes = append(c.processes, p)
	return nil
}

// join gives a new node its identity, with a token from any node that answers.
func (c *group) join(ctx context.Context, n *Node) error {
	var errs error
	for i := range c.state.Nodes {
		if c.state.Nodes[i].Number == n.Number {
			continue
		}
		text, _, err := c.state.Nodes[i].client().NewToken(ctx)
		if err != nil {
			errs = errors.Join(errs, err)
			continue
		}
		token, err := identity.ParseToken(text)
		if err != nil {
			return fmt.Errorf("dev: %s: %w", n.Name, err)
		}
		if _, _, err := identity.Join(ctx, identity.Dir(n.Dir), token, identity.JoinOptions{}); err != nil {
			return fmt.Errorf("dev: %s: %w", n.Name, err)
		}
		return nil
	}
	return fmt.Errorf("dev: %s: no node gives a join token: %w", n.Name, errs)
}

// settle waits until all nodes share one epoch and no bucket is incomplete.
func (c *group) settle(ctx context.Context) error {
	var epoch string
	for i := 0; i < len(c.processes); i++ {
		err := c.processes[i].await(ctx, "all nodes to share an epoch", func(s admin.Status) bool {
			if len(s.Members) != len(c.processes) || s.IncompleteBuckets != 0 {
				return false
			}
			if i == 0 {
				epoch = s.Epoch
			}
			return true
		})
		if err != nil {
			return err
		}
		status, err := c.processes[i].node.client().Status(ctx)
		if err != nil || status.Epoch != epoch {
			i = -1 // it has moved on: begin again
		}
	}
	return nil
}

// populate makes the domain and the demo users that are not there yet.
func (c *group) populate(ctx context.Context) error {
	client := c.state.Nodes[0].client()
	domains, err := client.ListDomains(ctx, "", admin.PageMax)
	if err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	if len(domains) == 0 {
		if err := client.AddDomain(ctx, Domain); err != nil {
			return fmt.Errorf("dev: %w", err)
		}
	}
	users := make([]string, c.state.Users)
	for i := range users {
		users[i] = fmt.Sprintf("u%d@%s", i, Domain)
	}
	if err := client.AddUsers(ctx, users, Password); err != nil {
		return fmt.Errorf("dev: demo users: %w", err)
	}
	return nil
}

// watch waits for the end of ctx, and says so when a node ends before.
func (c *group) watch(ctx context.Context) {
	var wg sync.WaitGroup
	for _, p := range c.processes {
		wg.Go(func() {
			select {
			case <-ctx.Done():
			case <-p.done:
				fmt.Fprintf(c.o.Out, "%s (pid %d) has ended: %v; start it again with: porcupine serve --config %s\n",
					p.node.Name, p.node.PID, p.err, p.node.Config)
			}
		})
	}
	<-ctx.Done()
	wg.Wait()
}

// stop ends all nodes at once and waits for them.
func (c *group) stop() error {
	c.stopOnce.Do(func() {
		errs := make([]error, len(c.processes))
		var wg sync.WaitGroup
		for i, p := range c.processes {
			wg.Go(func() { errs[i] = p.stop() })
		}
		wg.Wait()
		c.stopErr = errors.Join(errs...)
	})
	return c.stopErr
}

// howTo is what a user sees when the cluster is up.
func howTo(s *State, dir string) string {
	first, last := s.Nodes[0], s.Nodes[len(s.Nodes)-1]
	return fmt.Sprintf(`
A cluster of %d nodes on this machine. Every node can do everything.
Users: u0@%s to u%d@%s, password %s

  send a message to node 1      curl smtp://%s:%d --mail-from me@%s --mail-rcpt u0@%s -T README.md
  read it from node %d           curl -u u0@%s:%s pop3://%s:%d/1
  ask any node how it is        go run ./cmd/porcupine status --config %s
  metrics                       curl http://%s:%d/metrics
  kill a node and watch         kill -9 $(cat %s)
  start it again                go run ./cmd/porcupine serve --config %s
  add a fourth                  go run ./cmd/porcupine dev --add --dir %s

Ports, logs and process ids: %s. Ctrl-C stops all nodes; the same command resumes.
`, len(s.Nodes), Domain, max(0, s.Users-1), Domain, Password, Host, first.Ports.SMTP, Domain, Domain,
		last.Number, Domain, Password, Host, last.Ports.POP3, first.Config, Host, first.Ports.HTTP,
		filepath.Join(last.Dir, "pid"), last.Config, dir, filepath.Join(dir, StateName))
}
