package part

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/store"
	"porcupine/internal/eval"
	"porcupine/internal/eval/plot"
)

// The workload of the experiment on space.
const (
	spaceSize    = 4700 // bytes of a message: the papers' mean
	spaceEach    = 20   // messages of a user
	spaceWriters = 32
	spaceBatch   = 1024 // retirements at a time, as the node sends them
	spaceSpool   = 2e9  // bytes of the thesis's spool
)

// published: 6 to 17 MB of replica sets and update records in a spool of 2 GB.
const (
	spaceLeast = 6e6 / (spaceSpool / spaceSize)
	spaceMost  = 17e6 / (spaceSpool / spaceSize)
)

// space stores messages on two nodes, as one of them sees it, from 32 writers, whose updates are retired 1,024 at a time. It
// counts the bytes, keys and values, of replica sets and of the update records that are alive at once.
func space(ctx context.Context, env eval.Env) (r eval.Result, err error) {
	messages := pick(env, 4_000, 40_000)
	s, err := openStore(env.Dir, 1)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	alive, busy, err := spaceLoad(ctx, s, messages)
	if err != nil {
		return r, err
	}
	rest, err := s.Overhead()
	if err != nil {
		return r, err
	}
	if busy.Records == 0 || rest.Records != 0 {
		return r, fmt.Errorf("%d update records under load and %d at rest: want some, and none", busy.Records, rest.Records)
	}
	record := float64(busy.RecordBytes) / float64(busy.Records)
	atRest := float64(rest.ReplicaSets) / float64(messages)
	loaded := atRest + float64(alive)*record/(spaceSpool/spaceSize)
	r.Tables = []eval.Table{{
		Title: "replica sets and update records of two copies", Corner: "state", Unit: "bytes a message", Columns: []string{"bytes"},
		Rows: []eval.Row{
			{Label: "at rest; the least of the thesis", Cells: []eval.Cell{eval.Both(spaceLeast, atRest)}},
			{Label: "under load, in a spool of 2 GB; the most of the thesis", Cells: []eval.Cell{eval.Both(spaceMost, loaded)}},
			{Label: "one update record", Cells: []eval.Cell{eval.Measured(record)}},
		},
	}}
	r.Notes = []string{
		fmt.Sprintf("%d messages of %d bytes, %d of each user, from %d writers; at most %d update records were alive at once, however many messages there are. At rest it is %.2f %% of the messages.",
			messages, spaceSize, spaceEach, spaceWriters, alive, 100*atRest/spaceSize),
		"The thesis has 6 to 17 MB for a spool of 2 GB of messages of 4.7 KB: 14 to 40 bytes a message. It does not say what makes the difference.",
	}
	r.Checks = []eval.Check{
		eval.Checked(loaded <= spaceMost, "not more than the most of the thesis", "%.1f bytes at rest, %.1f under load, published 14 to 40", atRest, loaded),
	}
	r.Figures = []eval.Figure{{Name: "space", Drawing: &plot.Bars{
		Title: "Space that replication takes beside the messages", Note: "Two copies; bytes of one node's store for each message it holds",
		X: "state of the cluster", Y: plot.Axis{Label: "replica sets and update records", Unit: "bytes a message"},
		Groups: []string{"at rest (thesis: the least)", "under load (thesis: the most)"},
		Series: []plot.BarSeries{
			{Name: "", Whose: plot.Published, Values: []float64{spaceLeast, spaceMost}},
			{Name: "", Whose: plot.Measured, Values: []float64{atRest, loaded}},
		},
	}}}
	return r, nil
}

// spaceLoad stores the messages. It gives the most update records that were alive at once, and what there was when the last
// message was stored.
func spaceLoad(ctx context.Context, s *store.Store, messages int) (alive int64, busy store.Overhead, err error) {
	contents := make([]byte, spaceSize)
	for i := range contents {
		contents[i] = byte(i*i>>3 ^ i)
	}
	sum := sha256.Sum256(contents)
	acked := make(chan cluster.Retirement, messages)
	var next atomic.Int64
	writers, ctx := errgroup.WithContext(ctx)
	for range spaceWriters {
		writers.Go(func() error {
			for n := next.Add(1); n <= int64(messages); n = next.Add(1) {
				u := cluster.Update{Object: cluster.Object{
					ID:        cluster.ObjectID{Type: messageType, Owner: fmt.Sprintf("user%d@example.test", n/spaceEach), ID: fmt.Sprintf("%016x", n)},
					Timestamp: cluster.Timestamp{Time: n, Node: 1}, Replicas: cluster.NewReplicaSet(1, 2), Copies: 2, Size: spaceSize, Sum: sum,
				}}
				res, err := s.Apply(ctx, u, bytes.NewReader(contents))
				if err != nil {
					return err
				}
				acked <- cluster.Retirement{ID: res.Record.ID, Timestamp: res.Record.Timestamp, Targets: res.Record.Targets}
			}
			return nil
		})
	}
	retired := make(chan retirer, 1)
	go func() {
		r := retirer{store: s}
		r.err = r.run(ctx, acked)
		retired <- r
	}()
	err = writers.Wait()
	close(acked)
	r := <-retired
	return r.alive, r.busy, errors.Join(err, r.err)
}

// retirer ends the propagation of what was stored, a batch at a time, as if the other node had it by then.
type retirer struct {
	store *store.Store
	alive int64          // the most update records at once
	busy  store.Overhead // when the first batch was complete
	err   error
}

func (r *retirer) run(ctx context.Context, acked <-chan cluster.Retirement) error {
	items := make([]cluster.Retirement, 0, spaceBatch)
	for item := range acked {
		if items = append(items, item); len(items) < spaceBatch {
			continue
		}
		r.alive = max(r.alive, r.store.Metrics().Records)
		if r.busy.Records == 0 {
			var err error
			if r.busy, err = r.store.Overhead(); err != nil {
				return err
			}
		}
		if err := r.store.Retire(ctx, items); err != nil {
			return err
		}
		items = items[:0]
	}
	return r.store.Retire(context.WithoutCancel(ctx), items)
}
