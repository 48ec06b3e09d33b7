package sim

import (
	"fmt"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/watchdog"
)

// A disk that hangs ends no fsync. What waits for it waits: commits, and the loop of the node, if it has
// a promise to make durable. The watchdog looks on and sends the node out, and back.

// hang is what a node knows of its disk that hangs.
type hang struct {
	dog      watchdog.Watchdog
	watching bool
	probing  bool
	out      bool  // the node takes no part
	syncedAt int64 // when the fsync under way began

	blocked   bool // the loop waits for the disk
	blockedAt int64
	deferred  []membership.Output // what it has to do then, the first of it to make durable
}

// hangs reports whether the disk ends no fsync now.
func (n *node) hangs() bool { return n.stalled > n.w.now }

// watchDisk looks at the disk until all is well again.
func (n *node) watchDisk() {
	if n.watching {
		return
	}
	n.watching = true
	n.mustBeGone(n.life)
	n.observe(n.life)
}

// observe is a turn of the watchdog. It is no event of the process: that may wait for the disk.
func (n *node) observe(life int) {
	if n.life != life {
		return
	}
	w := n.w
	owed := n.owed()
	if !n.paused {
		switch n.dog.Observe(w.time(), owed) {
		case watchdog.Leaves:
			n.out = true
			w.stats.Outages++
			w.record(fmt.Sprintf("is out: its disk hangs since %v", time.Duration(w.now)-owed), n)
		case watchdog.Returns:
			n.out = false
			w.record("takes part again", n)
			n.schedule()
		case watchdog.Stays:
		}
		if !n.probing && n.dog.Wants(w.time()) {
			n.probe()
		}
	}
	if !n.dog.Out() && owed == 0 {
		n.watching = false
		return
	}
	w.after(watchdog.Period, func() { n.observe(life) })
}

// owed is for how long the disk has owed the oldest answer.
func (n *node) owed() time.Duration {
	since := n.w.now
	if n.syncing {
		since = min(since, n.syncedAt)
	}
	if n.blocked {
		since = min(since, n.blockedAt)
	}
	return time.Duration(n.w.now - since)
}

// probe makes a durable write that changes nothing.
func (n *node) probe() {
	n.probing = true
	n.commit(op{apply: func() {}, done: func(error) {
		n.probing = false
		n.dog.Answered(n.w.time())
	}})
}

// block has the loop wait for the disk: what it was about to do, and all that comes to it meanwhile, is done
// when the disk answers.
func (n *node) block() {
	n.blocked, n.blockedAt = true, n.w.now
	n.watchDisk()
	life := n.life
	var look func()
	look = func() {
		switch {
		case n.life != life:
		case n.hangs() || n.paused:
			n.w.after(n.untilAnswer(), look)
		default:
			n.unblock(life)
		}
	}
	n.w.after(n.untilAnswer(), look)
}

// answerPoll bounds the wait between two looks at a disk that hangs: a fault may end before its time.
const answerPoll = time.Second

func (n *node) untilAnswer() time.Duration {
	if !n.hangs() {
		return answerPoll
	}
	return min(time.Duration(n.stalled-n.w.now), answerPoll)
}

func (n *node) unblock(life int) {
	n.blocked = false
	todo := n.deferred
	n.deferred = nil
	for i, out := range todo {
		if n.life != life {
			return
		}
		if n.blocked { // it hangs again
			n.deferred = append(n.deferred, todo[i:]...)
			return
		}
		n.obey(out)
	}
	if n.life == life {
		n.release()
		n.schedule()
	}
}

// refusal is what a node that is out answers: ask again in the next view.
func refusal() error {
	return cluster.Errorf(cluster.KindBehind, "serve", "this node's disk hangs")
}

// ejectMax is how long after its disk hung a node may be in the view of the others (fault 13).
const ejectMax = 5 * time.Second

// mustBeGone checks that, where nothing else is wrong.
func (n *node) mustBeGone(life int) {
	w := n.w
	if w.opt.Only != stallName || w.opt.timing != timingDefault || w.net.disorder() || w.healing || w.ailing() > 1 {
		return
	}
	w.after(ejectMax-n.owed(), func() {
		if n.life != life || n.owed() < ejectMax || w.ailing() > 1 { // others may be waiting for disks of their own
			return
		}
		for _, o := range w.nodes {
			if o != n && o.up() && o.view().Contains(n.id) {
				w.check.that("M5", fmt.Sprintf("fault 13: %v has %v in its view, whose disk hangs for %v", o, n, n.owed()))
			}
		}
	})
}

// ailing counts the nodes whose disk hangs, or did lately.
func (w *World) ailing() (count int) {
	for _, n := range w.nodes {
		if n.out || n.watching || n.blocked || n.hangs() {
			count++
		}
	}
	return count
}
