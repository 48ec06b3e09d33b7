package sim

import (
	"errors"
	"fmt"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/balance"
	"porcupine/internal/cluster/replication"
	"porcupine/internal/cluster/replication/join"
)

// typeFlags is a type whose updates are joined where neither knew the other (TypeSpec.Merge).
const typeFlags cluster.ObjectType = "flags"

// flagNames is how many flags a user has.
const flagNames = 4

// written is a flag that a client was told is set.
type written struct {
	user     *user
	register join.Register
}

func (u *user) flags() cluster.ObjectID {
	return cluster.ObjectID{Type: typeFlags, Owner: u.name, ID: "f"}
}

// setFlag sets one flag of a user, at any node, without asking anybody but for what is there.
func (c *clients) setFlag(n *node, u *user) {
	n.lookup(u.name, cluster.Complete, func(e cluster.Entry, view *cluster.View, err error) {
		if err != nil || e.Knowledge < cluster.Complete {
			return
		}
		old, _ := e.Find(typeFlags, "f")
		have, err := join.ParseRegisters(old.Contents)
		if len(old.Contents) == 0 {
			have, err = nil, nil
		}
		if err != nil {
			c.w.check.that("D5", fmt.Sprintf("%v has flags of %s that cannot be read: %v", n, u.name, err))
			return
		}
		if n.clock.Observe(old.Object.Timestamp, n.wall()) != nil {
			return
		}
		c.number++
		one := []cluster.Update{{}}
		n.stamp(one, func(err error) {
			if err != nil {
				return
			}
			r := join.Register{Name: fmt.Sprintf("k%d", c.rng.IntN(flagNames)), Time: one[0].Object.Timestamp, Value: fmt.Append(nil, c.number)}
			contents := string(have.Join(join.Registers{r}).Marshal())
			set := old.Object.Replicas
			if missing := profileCopies - len(set); missing > 0 {
				q := balance.Request{Members: view.IDs(), Beside: set, Copies: missing, Spread: missing}
				set = set.Union(cluster.NewReplicaSet(balance.Choose(q, n.loads, c.w.time(), n.rng)...))
			}
			if len(set) == 0 {
				return
			}
			o := cluster.Object{ID: u.flags(), Replicas: set, Copies: profileCopies, Size: int64(len(contents)), Sum: sumOf(contents)}
			n.update(cluster.Update{Object: o, Previous: old.Object.Replicas}, contents, func(ts cluster.Timestamp, err error) {
				var short *cluster.Shortfall
				if err == nil || errors.As(err, &short) {
					durable := set
					if short != nil {
						durable = short.Durable
					}
					c.w.oracle.promised("D4", n, u.flags(), ts, durable)
					c.written = append(c.written, written{u, r})
					c.w.stats.Flags++
				}
			})
		})
	})
}

// join gives, for an update of a type that merges, the one that takes its place, as the store does. Where that can have no
// timestamp now, it is refused.
func (n *node) join(it *item, have *stored) *item {
	if it.update.Object.ID.Type != typeFlags || have == nil || it.joined {
		return nil
	}
	var theirs []byte
	if it.has {
		theirs = []byte(it.contents)
	}
	j := replication.Join(n.id, n.disk.state(it.update.Object.ID), []byte(have.contents), it.update, theirs, join.MergeRegisters)
	if j == nil {
		return nil
	}
	if it.reply.Err = n.mayStamp(); it.reply.Err != nil {
		return nil
	}
	j.Update.Object.Timestamp = n.clock.Now(n.wall())
	n.w.stats.Joined++
	return &item{update: &j.Update, contents: string(j.Contents), has: true, joined: true}
}

// flagsLost is R2 for a type that merges: of each flag, the last write that a client was told of, or
// a later one, is there.
func (w *World) flagsLost() string {
	for _, x := range w.client.written {
		id := x.user.flags()
		if w.oracle.lost[id] || w.oracle.hurt[id] {
			continue
		}
		o, ok := w.oracle.newest[id]
		if !ok {
			return fmt.Sprintf("the flags of %s are gone", x.user.name)
		}
		for _, r := range o.Replicas {
			m := w.byID[r]
			s := m.disk.objects[id]
			if s == nil {
				return fmt.Sprintf("%v lacks the flags of %s", m, x.user.name)
			}
			have, err := join.ParseRegisters([]byte(s.contents))
			if err != nil {
				return fmt.Sprintf("%v: flags of %s: %v", m, x.user.name, err)
			}
			if got, ok := have.Get(x.register.Name); !ok || got.Time.Compare(x.register.Time) < 0 {
				return fmt.Sprintf("flag %s of %s is of %v, but a write of %v was promised", x.register.Name, x.user.name, got.Time, x.register.Time)
			}
		}
	}
	return ""
}
