package dev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/cluster/identity"
)

// ReadyTimeout bounds the start of a cluster.
const ReadyTimeout = time.Minute

// Run starts the cluster or resumes it, prints how to use it and then a line "ready", and stops
// the nodes that it started when ctx ends. A node that dies on the way is reported, not restarted.
func Run(ctx context.Context, o Options) error {
	if err := o.prepare(); err != nil {
		return err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("dev: %w", err)
	}
	unlock, err := lockRunning(o.Dir)
	if err != nil {
		return fmt.Errorf("dev: %s: %w", o.Dir, err)
	}
	defer unlock()
	state, err := o.plan()
	if err != nil {
		return err
	}
	c := newGroup(&o, state)
	if err := c.within(ctx, c.up); err != nil {
		return errors.Join(err, c.stop())
	}
	fmt.Fprint(o.Out, c.howTo())
	fmt.Fprintln(o.Out, "ready")
	c.watch(ctx)
	return c.stop()
}

// Add starts one more node beside a running cluster in the same directory, prints "ready" when
// it is a member and serves, and stops that node when ctx ends.
func Add(ctx context.Context, o Options) error {
	if err := o.prepare(); err != nil {
		return err
	}
	state, err := o.reserve()
	if err != nil {
		return err
	}
	c := newGroup(&o, state)
	n := &state.Nodes[len(state.Nodes)-1]
	err = c.within(ctx, func(ctx context.Context) error {
		if err := errors.Join(c.join(ctx, n), c.launch(ctx, n)); err != nil {
			return errors.Join(err, o.giveBack(n.Number))
		}
		return n.await(ctx, "the node to be a member and to serve", func(s admin.Status) bool {
			return s.Ready && len(s.Members) > 1 && s.IncompleteBuckets == 0
		})
	})
	if err != nil {
		return errors.Join(err, c.stop())
	}
	fmt.Fprintf(o.Out, "%s is a member: SMTP %d, POP3 %d, IMAP %d, HTTP %d\nready\n", n.Name, n.Ports.SMTP, n.Ports.POP3, n.Ports.IMAP, n.Ports.HTTP)
	c.watch(ctx)
	return c.stop()
}

// group is the cluster's nodes and the processes that this process started for them.
type group struct {
	o         *Options
	state     State
	processes []*process
	died      chan *process // the first that ended by itself; filled while within runs
	stopOnce  sync.Once
	stopErr   error
}

func newGroup(o *Options, s State) *group {
	return &group{o: o, state: s, died: make(chan *process, NodesMax)}
}

// within runs f with a context that ends after ReadyTimeout, or as soon as a node dies: its cause
// then has the end of that node's log.
func (c *group) within(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, ReadyTimeout, fmt.Errorf("it took more than %v; the logs are %s", ReadyTimeout, filepath.Join(c.o.Dir, "node*", "log")))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	go func() {
		select {
		case p := <-c.died:
			fail(fmt.Errorf("%s has ended (%s); %s", p.node.Name, p.ended(), p.logTail()))
		case <-ctx.Done():
		}
	}()
	return f(ctx)
}

// up brings all nodes up: those with an identity at once, the others by joining one of them.
func (c *group) up(ctx context.Context) error {
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
		} else if err := c.launch(ctx, n); err != nil {
			return err
		}
	}
	for _, n := range later {
		if err := first.await(ctx, "the first node", func(s admin.Status) bool { return s.Ready }); err != nil {
			return err
		}
		if err := c.join(ctx, n); err != nil {
			return err
		}
		if err := c.launch(ctx, n); err != nil {
			return err
		}
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

// launch starts a node that does not run yet, and writes its process id into dev.json.
func (c *group) launch(ctx context.Context, n *Node) error {
	if n.isRunning(ctx) {
		fmt.Fprintf(c.o.Out, "%s runs already, as process %d: it is left alone, now and at the end\n", n.Name, n.pid())
		return nil
	}
	if err := n.requireFree(); err != nil {
		return err
	}
	p, err := start(c.o.Program, *n)
	if err != nil {
		return err
	}
	c.processes = append(c.processes, p)
	go func() {
		<-p.done
		c.died <- p // never full: one for each node
	}()
	return c.record(map[int]int{n.Number: p.cmd.Process.Pid})
}

// record writes process ids into dev.json, by the nodes' numbers.
func (c *group) record(pids map[int]int) error {
	_, err := update(c.o.Dir, func(s *State) error {
		for i := range s.Nodes {
			if pid, ok := pids[s.Nodes[i].Number]; ok {
				s.Nodes[i].PID = pid
			}
		}
		return nil
	})
	return err
}

// join gives a new node its identity, with a token from any node that answers.
func (c *group) join(ctx context.Context, n *Node) error {
	if n.hasIdentity() {
		return nil // from an earlier try
	}
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

// settle waits until all nodes serve, share one epoch and know their buckets in full.
func (c *group) settle(ctx context.Context) error {
	nodes := c.state.Nodes
	for epoch, agreed := "", 0; agreed < len(nodes); {
		agreed = 0
		for i := range nodes {
			err := nodes[i].await(ctx, "all nodes to share an epoch and to serve", func(s admin.Status) bool {
				if len(s.Members) != len(nodes) || s.IncompleteBuckets != 0 || !s.Ready {
					return false
				}
				if s.Epoch == epoch {
					agreed++
				}
				epoch = s.Epoch
				return true
			})
			if err != nil {
				return err
			}
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
	found := false
	for _, d := range domains {
		found = found || d.Domain == Domain
	}
	if !found {
		if err := client.AddDomain(ctx, admin.Domain{Domain: Domain}); err != nil {
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
	for {
		select {
		case <-ctx.Done():
			return
		case p := <-c.died:
			fmt.Fprintln(c.o.Out, p.farewell(c.command()))
		}
	}
}

// stop ends all nodes at once and waits for them.
func (c *group) stop() error {
	c.stopOnce.Do(func() {
		stopped := make([]error, len(c.processes))
		pids := map[int]int{}
		var wg sync.WaitGroup
		for i, p := range c.processes {
			pids[p.node.Number] = 0
			wg.Go(func() { stopped[i] = p.stop() })
		}
		wg.Wait()
		c.stopErr = errors.Join(stopped...)
		if len(pids) > 0 {
			c.stopErr = errors.Join(c.stopErr, c.record(pids))
		}
	})
	return c.stopErr
}

// command is how the user calls this program.
func (c *group) command() string {
	if strings.Contains(c.o.Program, "go-build") {
		return "go run ./cmd/porcupine"
	}
	return c.o.Program
}

// howTo is what a user sees when the cluster is up.
func (c *group) howTo() string {
	s, dir, command := &c.state, c.o.Dir, c.command()
	first, last := s.Nodes[0], s.Nodes[len(s.Nodes)-1]
	users := "No demo users: make some with --users."
	if s.Users > 0 {
		users = fmt.Sprintf("Users: u0@%s to u%d@%s, password %s", Domain, s.Users-1, Domain, Password)
	}
	return fmt.Sprintf(`
A cluster of %d nodes on this machine. Every node can do everything.
%s

  send a message to node 1      curl --crlf smtp://%s:%d --mail-from me@%s --mail-rcpt u0@%s -T README.md
  read it from node %d           curl -u u0@%s:%s pop3://%s:%d/1
  or by IMAP, from node %d       curl -u u0@%s:%s 'imap://%s:%d/INBOX;MAILINDEX=1'
  ask any node how it is        %s status --config %s
  metrics                       curl http://%s:%d/metrics
  kill a node and watch         kill -9 $(cat %s)
  start it again                %s serve --config %s
  add one more                  %s dev --add --dir %s

Ports, logs and process ids: %s.
Ctrl-C stops the nodes that this command has started, and none that was started with serve or --add; the same command resumes.
`, len(s.Nodes), users, Host, first.Ports.SMTP, Domain, Domain,
		last.Number, Domain, Password, Host, last.Ports.POP3, first.Number, Domain, Password, Host, first.Ports.IMAP, command, first.Config, Host, first.Ports.HTTP,
		filepath.Join(last.Dir, "pid"), command, last.Config, command, dir, filepath.Join(dir, StateName))
}
