// Package cost holds the experiment on what limits a cluster with infinitely fast disks (TOCS §5.2, "infinitely fast
// disks"): what a message costs in processor time, calls and bytes, against the number of nodes.
//
// The papers faked the disk writes and counted messages a second. All our nodes share the machine's processors, so the
// sum of what they do in a second says nothing of thirty machines. What one message costs does: the processor time of all
// nodes together, in milliseconds, which for the papers is the number of nodes over their throughput.
package cost

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
	"porcupine/internal/eval"
	"porcupine/internal/eval/testbed"
)

// All lists the experiment.
func All() []eval.Experiment {
	return []eval.Experiment{{Name: "cost", Title: "Cost of a message against the number of nodes, with disks that cost nothing",
		Source: "TOCS §5.2, infinitely fast disks", Run: run}}
}

const (
	// clientsPerNode are the sessions under way for each node, as in the papers: a node has as much to do at a time, and puts as much
	// together in its commits and calls, whatever the number of nodes.
	clientsPerNode = 4
	usersPerNode   = 20
	// fill is how many messages a user is sent before anything is measured: as many as lie in a mailbox when it is picked up.
	fill       = 10
	pollPeriod = 20 * time.Millisecond
	phaseMax   = 5 * time.Minute // for one number of messages, on a machine that is busy
)

// usage is what has been used so far.
type usage struct {
	processor time.Duration
	delivered int64
	failed    int64
	calls     int64 // between nodes, for messages: see background
	bytes     int64 // of payloads and bodies of all calls but membership, both ways
}

// point is what was measured with one number of nodes and of copies.
type point struct {
	nodes, copies int
	ms            float64 // of processor for a message: the least
	sum           usage   // delivered, calls and bytes of all rounds
}

// calls and bytes are those of a message.
func (p *point) calls() float64 { return float64(p.sum.calls) / float64(p.sum.delivered) }
func (p *point) bytes() float64 { return float64(p.sum.bytes) / float64(p.sum.delivered) }

// site is a cluster without disks, with users of each number of copies.
type site struct {
	bed   *testbed.Bed
	users [2][]testbed.User // by copies, from 1
}

// open makes a site of so many nodes.
func open(ctx context.Context, env eval.Env, nodes int) (s site, err error) {
	if s.bed, err = testbed.Open(ctx, testbed.Config{Nodes: nodes, Dir: filepath.Join(env.Dir, strconv.Itoa(nodes))}); err != nil {
		return s, err
	}
	for i := range s.users {
		if s.users[i], err = s.bed.AddUsers(ctx, usersPerNode*nodes, i+1, cluster.BucketCount); err != nil {
			return s, errors.Join(err, s.bed.Close())
		}
		r := s.bed.Start(s.load(i))
		err = await(ctx, r, fill*int64(len(s.users[i])))
		r.Stop()
		if err != nil {
			return s, errors.Join(err, s.bed.Close())
		}
	}
	return s, nil
}

// load is what a site is loaded with, by copies, from 1.
func (s *site) load(i int) testbed.Load {
	return testbed.Load{Users: s.users[i], Clients: clientsPerNode * len(s.bed.Nodes)}
}

// rounds are how often the cost of so many messages is measured. Other work on the machine makes all work dearer, never cheaper, so the
// processor time told is the least. All clusters run all the time, and each round goes through all of them: a machine that is slow for
// some seconds makes no number of nodes dearer than another.
const rounds = 4

// measure loads clusters of some sizes in turn, and counts what messages take: by copies, for each size.
func measure(ctx context.Context, env eval.Env, sizes []int, messages int64) (all [2][]point, err error) {
	var sites []site
	defer func() {
		for _, s := range sites {
			err = errors.Join(err, s.bed.Close())
		}
	}()
	for i := range all {
		for _, n := range sizes {
			all[i] = append(all[i], point{nodes: n, copies: i + 1})
		}
	}
	for _, n := range sizes {
		s, err := open(ctx, env, n)
		if err != nil {
			return all, err
		}
		sites = append(sites, s)
	}
	for range rounds {
		for k := range sites {
			s := &sites[k]
			for i := range all {
				p := &all[i][k]
				if err := p.load(ctx, s.bed, s.load(i), messages); err != nil {
					return all, fmt.Errorf("%d nodes, %d copies: %w", p.nodes, p.copies, err)
				}
				env.Progress("%d nodes, %d copies: %.2f ms, %.2f calls, %.0f bytes a message so far", p.nodes, p.copies, p.ms, p.calls(), p.bytes())
			}
		}
	}
	return all, nil
}

// load runs a load until so many messages have been delivered, after half as many to warm up, and adds what they took.
func (p *point) load(ctx context.Context, b *testbed.Bed, l testbed.Load, messages int64) error {
	r := b.Start(l)
	defer r.Stop()
	if err := await(ctx, r, messages/2); err != nil {
		return err
	}
	from, err := used(b, r)
	if err != nil {
		return err
	}
	if err := await(ctx, r, from.delivered+messages); err != nil {
		return err
	}
	to, err := used(b, r)
	if err != nil {
		return err
	}
	n := to.delivered - from.delivered
	if failed := to.failed - from.failed; failed*failedShare > n {
		return fmt.Errorf("%d sessions failed, the last with: %w", failed, r.LastError())
	}
	if ms := float64(to.processor-from.processor) / float64(time.Millisecond) / float64(n); p.ms == 0 || ms < p.ms {
		p.ms = ms
	}
	p.sum.delivered, p.sum.calls, p.sum.bytes = p.sum.delivered+n, p.sum.calls+to.calls-from.calls, p.sum.bytes+to.bytes-from.bytes
	return nil
}

// failedShare: when more than one of so many sessions fails, what was measured is something else.
const failedShare = 50

// await waits until so many messages have been delivered.
func await(ctx context.Context, r *testbed.Running, delivered int64) error {
	ctx, cancel := context.WithTimeoutCause(ctx, phaseMax, errors.New("the load makes no progress"))
	defer cancel()
	tick := time.NewTicker(pollPeriod)
	defer tick.Stop()
	for r.Counts().Delivered < delivered {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), r.LastError())
		}
	}
	return nil
}

// used sums up what all nodes have used. Clients are among it: they make a kilobyte of text for each message.
func used(b *testbed.Bed, r *testbed.Running) (u usage, err error) {
	var s syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &s); err != nil {
		return usage{}, fmt.Errorf("read the process's processor time: %w", err)
	}
	c := r.Counts()
	u = usage{processor: time.Duration(s.Utime.Nano() + s.Stime.Nano()), delivered: c.Delivered, failed: c.Failed}
	for _, n := range b.Up() {
		add(&u, n.Within().Traffic())
	}
	return u, nil
}

// background reports whether calls of a method are made when it is time, and not when a message comes: membership, and retirements and
// offers of update records, which go in batches of up to a thousand. The slower messages come, the more of those there are for each.
func background(method string) bool {
	return method == call.MethodMembership || method == call.MethodRetire || method == call.MethodOffer || method == call.MethodStatus
}

func add(u *usage, traffic map[string]transport.Traffic) {
	for method, t := range traffic {
		if !background(method) {
			u.calls += t.Calls
		}
		if method != call.MethodMembership {
			u.bytes += t.Sent + t.Received
		}
	}
}
