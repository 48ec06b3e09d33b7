package daemon

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/node"
	"porcupine/internal/cluster/upkeep"
	"porcupine/internal/mail"
	"porcupine/internal/mail/directory"
	"porcupine/internal/mail/objects"
)

// openUpkeep makes what the node does by itself, and registers its methods.
func (d *daemon) openUpkeep() (err error) {
	c := d.cfg
	start, length := c.Upkeep.Rebalance.Times()
	d.upkeep, err = upkeep.New(d.node, d.store, upkeep.Config{
		Types:       objects.Types(),
		Copies:      map[cluster.ObjectType]int{mail.TypeMessage: c.Cluster.MessageCopies},
		RepairAfter: c.Upkeep.RepairAfter.D(), Grace: c.Upkeep.Grace.D(),
		RepairRate: c.Upkeep.RepairRate, RepairBytes: int64(c.Upkeep.RepairBytes),
		Rebalance: upkeep.Window{Start: start, Length: length}, RebalanceRate: c.Upkeep.RebalanceRate,
		// Each further copy adds a node: see delivery.
		Spread:       c.Cluster.Spread + c.Cluster.MessageCopies - 1,
		CompareEvery: c.Upkeep.CompareEvery.D(), ScrubEvery: c.Upkeep.ScrubEvery.D(),
		Orphans: d.orphans, OnDrained: sync.OnceFunc(func() { close(d.drained) }), Logger: d.log,
	})
	if err != nil {
		return fmt.Errorf("upkeep: %w", err)
	}
	d.upkeep.Register()
	d.metrics.registry.MustRegister(upkeepFigures(d.upkeep)...)
	return nil
}

// damaged has contents that the node found damaged replaced from another copy.
func (d *daemon) damaged(id cluster.ObjectID) {
	if d.upkeep != nil { // nothing is read before it is there, but by 'porcupine store verify'
		d.upkeep.Damaged(id)
	}
}

// isLost reports whether healing has found that nobody has the contents of a damaged copy.
func (d *daemon) isLost(id cluster.ObjectID) bool { return d.upkeep != nil && d.upkeep.IsLost(id) }

// orphans gives the messages that belong to nobody: those of a former user of that name, by the floor
// that the new user's profile or the tombstone of the old one's gives. Mail for a name of which nothing
// is known at all goes after the grace period: only then has the tombstone gone too. Whatever is not
// conclusive stays (V1).
func (d *daemon) orphans(ctx context.Context, owner string, objects []cluster.Object) ([]cluster.Object, error) {
	e, err := d.node.Lookup(ctx, owner)
	if err != nil {
		return nil, err
	}
	floor, err := directory.MailFloor(&e)
	switch {
	case err == nil:
	case !cluster.IsKind(err, cluster.KindUnavailable):
		return nil, err
	case e.Knowledge != cluster.Conclusive:
		return nil, nil
	default:
		floor = cluster.Timestamp{Time: time.Now().Add(-2 * d.cfg.Upkeep.Grace.D()).UnixNano()}
		for _, c := range e.Cached {
			if c.Object.ID.Type == mail.TypeUser && c.Object.Deleted {
				floor = c.Object.Timestamp
			}
		}
	}
	var found []cluster.Object
	for i := range objects {
		if o := &objects[i]; o.ID.Type == mail.TypeMessage && o.Timestamp.Compare(floor) <= 0 {
			found = append(found, *o)
		}
	}
	return found, nil
}

// upkeepFigures are what upkeep shows to monitoring.
func upkeepFigures(u *upkeep.Upkeep) (figures []prometheus.Collector) {
	add := func(counter bool, name, help string, read func(*upkeep.Metrics) float64) {
		f := func() float64 { m := u.Metrics(); return read(&m) }
		if counter {
			figures = append(figures, prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "porcupine_" + name, Help: help}, f))
		} else {
			figures = append(figures, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "porcupine_" + name, Help: help}, f))
		}
	}
	add(false, "repair_pending", "Objects on this node that may need another copy, or one less.", func(m *upkeep.Metrics) float64 { return float64(m.Repair.Pending) })
	add(true, "repair_done_total", "Objects that this node has given other copies.", func(m *upkeep.Metrics) float64 { return float64(m.Repair.Done) })
	add(true, "repair_failed_total", "Moves that failed; they are tried again.", func(m *upkeep.Metrics) float64 { return float64(m.Repair.Failed) })
	add(true, "repair_bytes_total", "Bytes of contents copied to repair.", func(m *upkeep.Metrics) float64 { return float64(m.Repair.Bytes) })
	add(true, "rebalance_done_total", "Objects that this node has moved to even out disks and spread, and copies apart that shared a machine.", func(m *upkeep.Metrics) float64 { return float64(m.Rebalance.Done) })
	add(false, "copies_together", "Objects, each counted at one of its holders, with two copies on one machine though another one could take one.", func(m *upkeep.Metrics) float64 { return float64(m.Together) })
	add(true, "orphans_removed_total", "Messages deleted that belonged to nobody any more.", func(m *upkeep.Metrics) float64 { return float64(m.Orphans) })
	add(false, "update_records", "Updates that some node may not have heard of, absent ones included.", func(m *upkeep.Metrics) float64 { return float64(m.Records) })
	add(false, "updates_owed", "Updates that another member may not have heard of.", func(m *upkeep.Metrics) float64 { return float64(m.Owed) })
	add(true, "compared_total", "Objects compared with another copy.", func(m *upkeep.Metrics) float64 { return float64(m.Compare.Compared) })
	add(true, "divergences_total", "Copies that differed though nothing was under way; anything but 0 wants a look at the log.", func(m *upkeep.Metrics) float64 { return float64(m.Compare.Divergences) })
	add(false, "under_replicated", "Objects with fewer live copies than wanted and possible, as of the last comparing.", func(m *upkeep.Metrics) float64 { return float64(m.UnderReplicated) })
	add(true, "scrubbed_total", "Objects read to check their contents.", func(m *upkeep.Metrics) float64 { return float64(m.Scrub.Objects) })
	add(true, "damaged_total", "Contents found damaged on this node's disk.", func(m *upkeep.Metrics) float64 { return float64(m.Scrub.Damaged) })
	add(true, "healed_total", "Of them, replaced from another copy.", func(m *upkeep.Metrics) float64 { return float64(m.Scrub.Healed) })
	add(false, "contents_waiting", "Damaged contents that a node may have which does not answer now.", func(m *upkeep.Metrics) float64 { return float64(m.Scrub.Waiting) })
	add(false, "contents_lost", "Damaged contents that no other node could give.", func(m *upkeep.Metrics) float64 { return float64(m.Scrub.Lost) })
	add(false, "draining", "1 while this node is being emptied.", func(m *upkeep.Metrics) float64 {
		if m.Drain.Draining {
			return 1
		}
		return 0
	})
	return figures
}

// keeper shows the upkeep to the admin socket.
type keeper struct{ d *daemon }

var _ admin.Keeper = keeper{}

func (k keeper) Drain(ctx context.Context, id cluster.NodeID, o admin.DrainOptions) error {
	op, v, loads := "drain node "+id.String(), k.d.node.View(), k.d.node.Loads()
	switch {
	case !v.Contains(id):
		return cluster.Errorf(cluster.KindNotFound, op, "it is not a member now ('porcupine node list' shows them); a node that will not come back is struck with 'porcupine node remove'")
	case o.Cancel:
	case staying(v, loads, id) == 0:
		return cluster.Errorf(cluster.KindInvalid, op, "it is the only node that is there and does not drain: there is nowhere to move its mail")
	case !o.FewerCopies && !loads[id].Draining: // one that drains already makes nothing worse
		if err := k.d.enoughStay(ctx, op, id); err != nil {
			return err
		}
	}
	return k.d.upkeep.DrainAt(ctx, id, !o.Cancel)
}

func (k keeper) Verify(ctx context.Context, o admin.VerifyOptions) (admin.Verification, error) {
	v, err := k.d.upkeep.Verify(ctx, upkeep.VerifyOptions{Contents: o.Contents, Wait: o.Wait})
	return admin.Verification{
		OK: v.OK, Members: v.Members, Objects: v.Objects, Compared: v.Compared, Divergences: v.Divergences,
		UnderReplicated: v.UnderReplicated, Damaged: v.Damaged, Owed: v.Owed, Details: v.Details,
		Complete: v.Complete, Young: v.Young, Waiting: v.Waiting, Quiet: upkeep.QuietAfter,
	}, err
}

// addUpkeep adds to a status what each member does by itself, where it says so in time.
func (d *daemon) addUpkeep(ctx context.Context, members []admin.Member) {
	ctx, cancel := context.WithTimeout(ctx, node.StatusTimeout)
	defer cancel()
	var asked sync.WaitGroup
	for i := range members {
		m := &members[i]
		asked.Go(func() {
			if s, err := d.upkeep.StatusOf(ctx, m.ID); err == nil {
				m.Upkeep = upkeepOf(&s)
			} else if m.Error == "" {
				m.Error = err.Error()
			}
		})
	}
	asked.Wait()
}

// seconds gives a moment as programs read it best; zero stays zero.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

func upkeepOf(s *upkeep.Status) *admin.Upkeep {
	left := int64(0)
	if s.Drain.Draining { // of another node it is all that it holds
		left = s.Drain.Objects
	}
	return &admin.Upkeep{
		RepairPending: s.Repair.Pending, RepairDone: s.Repair.Done, RepairFailed: s.Repair.Failed, RepairBytes: s.Repair.Bytes,
		RepairSince: seconds(s.Repair.Since), Rebalanced: s.Rebalance.Done,
		Draining: s.Drain.Draining, DrainLeft: left, Drained: s.Drain.Done,
		DrainHeld: s.Drain.Held, DrainWaits: s.Drain.Waits, DrainFrom: seconds(s.Drain.From), DrainUnread: s.Drain.Unread, Missing: s.Missing.Objects, RepairAt: seconds(s.Missing.At), MissingOld: s.Missing.Old,
		Records: s.Records, Owed: s.Owed, Together: s.Together,
		Divergences: s.Compare.Divergences, Mended: s.Compare.Mended, Compared: s.Compare.Rounds,
		Damaged: s.Scrub.Damaged, Healed: s.Scrub.Healed, Lost: s.Scrub.Lost, LostExamples: s.Scrub.Examples, Scrubbed: s.Scrub.Rounds,
	}
}
