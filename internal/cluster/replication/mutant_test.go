package replication_test

import (
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication"
)

// mutants are the bugs that the model must find: each breaks one rule.
func mutants() map[string]func(*rules) {
	decide := func(change func(have replication.State, u *cluster.Update, d *replication.Decision)) func(*rules) {
		return func(r *rules) {
			r.decide = func(self cluster.NodeID, have replication.State, u *cluster.Update, now int64) replication.Decision {
				d := replication.Decide(self, have, u, now)
				change(have, u, &d)
				return d
			}
		}
	}
	return map[string]func(*rules){
		"no target is added": decide(func(_ replication.State, u *cluster.Update, d *replication.Decision) {
			if d.Verdict == replication.Newer && d.Record != nil {
				r := *d.Record
				r.Targets = u.Targets()
				d.Record = &r
			}
		}),
		"the replicas of the older copy are not added": decide(func(have replication.State, u *cluster.Update, d *replication.Decision) {
			if d.Verdict == replication.Newer && d.Record != nil && have.Record == nil {
				r := *d.Record
				r.Targets = u.Targets()
				d.Record = &r
			}
		}),
		"an older update's targets do not hear of the newer": decide(func(have replication.State, _ *cluster.Update, d *replication.Decision) {
			if d.Verdict == replication.Older {
				d.Record, d.Changed = have.Record, false
			}
		}),
		"a retired record is not made again": decide(func(have replication.State, _ *cluster.Update, d *replication.Decision) {
			if d.Verdict == replication.Older && (have.Record == nil || have.Record.Retired != 0) {
				d.Record, d.Changed = have.Record, false
			}
		}),
		"a node without a copy logs nothing": decide(func(have replication.State, _ *cluster.Update, d *replication.Decision) {
			if d.Verdict == replication.Newer && have.Object == nil && !d.Put {
				d.Record = nil
			}
		}),
		"an older update is applied": decide(func(_ replication.State, u *cluster.Update, d *replication.Decision) {
			if d.Verdict == replication.Older {
				d.Put = u.Object.Replicas.Contains(1)
			}
		}),
		"any retirement of the timestamp counts": func(r *rules) {
			r.heard = func(have replication.State, q cluster.Retirement) cluster.Retirement {
				if have.Record != nil && have.Record.Timestamp == q.Timestamp {
					q.Targets = have.Record.Targets
				}
				return q
			}
		},
		"any retirement of the object counts": func(r *rules) {
			r.heard = func(have replication.State, q cluster.Retirement) cluster.Retirement {
				if have.Record != nil {
					q.Timestamp, q.Targets = have.Record.Timestamp, have.Record.Targets
				}
				return q
			}
		},
		"only deletions are remembered": func(r *rules) {
			r.retire = func(self cluster.NodeID, rec *cluster.Record, q cluster.Retirement, now int64) (*cluster.Record, bool) {
				after, changed := replication.AfterRetirement(self, rec, q, now)
				if changed && after != nil && !after.Deleted {
					after = nil
				}
				return after, changed
			}
		},
		"deletions are not remembered": func(r *rules) {
			r.retire = func(self cluster.NodeID, rec *cluster.Record, q cluster.Retirement, now int64) (*cluster.Record, bool) {
				after, changed := replication.AfterRetirement(self, rec, q, now)
				if changed {
					after = nil
				}
				return after, changed
			}
		},
		"forgotten though a node is away": func(r *rules) {
			r.forget = func(rec *cluster.Record, _, now int64) bool { return replication.Forget(rec, 1, now) }
		},
		"leavers hear at once": func(r *rules) {
			r.next = func(p *replication.Propagation, u *cluster.Update) []cluster.NodeID {
				if first := p.Next(); len(first) == 0 || !u.Object.Replicas.Equal(first) {
					return nil
				}
				return u.Targets()
			}
		},
		"a record with more targets is not taken in": func(r *rules) {
			r.added = func(l *replication.Log, rec cluster.Record, now time.Time) replication.Output {
				if l.Has(rec.ID) {
					return l.Tick(now)
				}
				return l.Added(rec, now)
			}
		},
	}
}

// TestSeededBugsAreFound: a model that finds nothing proves nothing.
func TestSeededBugsAreFound(t *testing.T) {
	for name, plant := range mutants() {
		t.Run(name, func(t *testing.T) {
			const most = 10_000
			r := trueRules()
			plant(&r)
			for seed := uint64(1); seed <= most; seed++ {
				if _, err := play(seed, r, false); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Errorf("not found in %d seeds", most)
		})
	}
}
