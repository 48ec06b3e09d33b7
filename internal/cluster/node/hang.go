package node

import (
	"context"
	"time"

	"porcupine/internal/cluster/watchdog"
)

// probeName is the store's name of a value that is written to see whether the disk answers. Nobody
// reads it.
const probeName = "probe"

// ProbeTimeout bounds the wait for one probe, which may have to wait for another write, and then for its own: a disk that is
// slow and does not hang answers in that time. The write goes on after it, and the store tells that it is still under way.
const ProbeTimeout = watchdog.AnswerMax + time.Second

// watchDisk sends this node out of the cluster when its disk hangs, and takes it back. It is not the
// loop's work: that may be the one who waits for the disk.
func (n *Node) watchDisk(ctx context.Context) {
	tick := time.NewTicker(watchdog.Period)
	defer tick.Stop()
	answers := make(chan error, 1)
	probing := false
	for {
		select {
		case <-ctx.Done():
			return
		case err := <-answers:
			probing = false
			if err == nil {
				n.dog.Answered(n.cfg.Now())
			} else {
				n.log.Debug("the disk does not answer a probe", "err", err)
			}
			continue
		case <-tick.C:
		}
		now := n.cfg.Now()
		owed, what := n.cfg.Store.Hangs()
		n.stats.owing.Store(int64(owed))
		switch n.dog.Observe(now, owed) {
		case watchdog.Leaves:
			n.goOut(owed, what)
		case watchdog.Returns:
			n.comeBack()
		case watchdog.Stays:
		}
		if !probing && n.dog.Wants(now) {
			probing = n.async(func(ctx context.Context) { answers <- n.probeDisk(ctx) })
		}
	}
}

// probeDisk makes a durable write.
func (n *Node) probeDisk(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ProbeTimeout)
	defer cancel()
	value, err := n.cfg.Now().UTC().MarshalBinary()
	if err != nil {
		return err
	}
	return n.cfg.Store.PutMeta(ctx, probeName, value)
}
