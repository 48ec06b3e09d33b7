package node

import (
	"context"
	"fmt"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/wire"
)

// persistName is the store's name of the membership state. Its value is one byte, the version
// of the format, and the fields that wire.MarshalPersistent writes. A newer program reads older
// versions; an older one refuses newer ones.
const (
	persistName    = "membership"
	persistVersion = 1
)

func loadPersistent(s Hard) (membership.Persistent, error) {
	value, err := s.Meta(persistName)
	if cluster.IsKind(err, cluster.KindNotFound) {
		return membership.Persistent{}, nil
	}
	if err != nil {
		return membership.Persistent{}, fmt.Errorf("membership state: %w", err)
	}
	if len(value) == 0 || value[0] != persistVersion {
		return membership.Persistent{}, fmt.Errorf("membership state: unknown format, this program knows version %d: use the version that wrote it, or a newer one", persistVersion)
	}
	p, err := wire.UnmarshalPersistent(value[1:])
	if err != nil {
		return membership.Persistent{}, fmt.Errorf("membership state: %w", err)
	}
	return *p, nil
}

func savePersistent(ctx context.Context, s Hard, p membership.Persistent) error {
	return s.PutMeta(ctx, persistName, append([]byte{persistVersion}, wire.MarshalPersistent(&p)...))
}

// persist makes the core's state durable. It goes on when the node is stopping: who has begun
// to leave has promised, too. The time in which the node is out does not count.
func (l *loop) persist(p *membership.Persistent) error {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(l.n.ctx))
	defer cancel(nil)
	var late *time.Timer
	begun := make(chan struct{})
	late = time.AfterFunc(PersistTimeout, func() {
		<-begun
		if l.n.isOut() && l.n.ctx.Err() == nil {
			late.Reset(PersistTimeout)
			return
		}
		cancel(fmt.Errorf("the disk has not answered for %v", PersistTimeout))
	})
	close(begun)
	defer late.Stop()
	from := l.now()
	err := savePersistent(ctx, l.n.cfg.Store, *p)
	l.warnSlow(l.now(), l.now().Sub(from))
	return err
}

// Slowness of the disk that people are told of: half of what a round of the others waits for an answer by default, at most so
// often.
const (
	slowPersist      = 200 * time.Millisecond
	slowPersistEvery = time.Minute
)

// warnSlow says what to do about a disk that takes long for a promise: it may look as if the node were shut out for no reason.
func (l *loop) warnSlow(now time.Time, took time.Duration) {
	if took < slowPersist || now.Sub(l.slowSaid) < slowPersistEvery {
		return
	}
	l.slowSaid = now
	l.n.log.Warn("this node's disk is slow: a view whose promise takes it longer than reply_timeout is formed without it; "+
		"raise cluster.reply_timeout and cluster.suspect_after on all nodes well above that, or replace the disk", "promise_took", took.Round(time.Millisecond))
}

// fail ends this node's part in the cluster: what it would promise now, it could forget.
func (l *loop) fail(err error) {
	l.failed = cluster.Errorf(cluster.KindUnavailable, "make the membership state durable", "%w", err)
	l.n.failed.Store(true)
	l.release()
	if l.begun { // else Start gives the error
		l.n.cfg.OnFatal(l.failed)
	}
}
