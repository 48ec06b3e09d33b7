package index

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/index/talk"
)

// Times of notices.
const (
	noticeTimeout = 5 * time.Second // of one call
	noticeRetries = 3               // calls for one batch
	noticePause   = 200 * time.Millisecond
)

// noticeFolders bounds the folders of one notice; beyond it, it says that it may be any.
const noticeFolders = 16

// courier tells nodes what changed, for each node one call at a time: what comes meanwhile goes with the
// next one, once for each user. A goroutine lives while there is something to tell.
type courier struct {
	cluster substrate
	cfg     Config
	ctx     context.Context // ends at close
	stop    context.CancelFunc
	told    atomic.Int64
	lost    atomic.Int64

	mu      sync.Mutex
	closed  bool
	waiting map[cluster.NodeID]map[mail.User][]mail.FolderID // a node that is in it has a goroutine
	running sync.WaitGroup
}

func newCourier(node substrate, cfg Config) *courier {
	c := &courier{cluster: node, cfg: cfg, waiting: make(map[cluster.NodeID]map[mail.User][]mail.FolderID)}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c
}

func (c *courier) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.running.Wait()
}

// add has a node told of a user. No folders: it may be any.
func (c *courier) add(node cluster.NodeID, u mail.User, folders []mail.FolderID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	users, running := c.waiting[node]
	if !running {
		users = make(map[mail.User][]mail.FolderID)
		c.waiting[node] = users
		c.running.Go(func() { c.deliver(node) })
	}
	before, known := users[u]
	switch {
	case !known && len(users) >= c.cfg.NoticesMax:
		c.lost.Add(1)
	case !known:
		users[u] = slices.Clone(folders)
	case len(before) == 0 || len(folders) == 0 || len(before)+len(folders) > noticeFolders:
		users[u] = nil
	default:
		for _, f := range folders {
			if !slices.Contains(users[u], f) {
				users[u] = append(users[u], f)
			}
		}
	}
}

// take gives the next batch for a node; none: the goroutine ends.
func (c *courier) take(node cluster.NodeID) (batch []talk.Notice) {
	c.mu.Lock()
	defer c.mu.Unlock()
	users := c.waiting[node]
	for u, folders := range users {
		if len(batch) == talk.NoticesMax {
			return batch
		}
		batch = append(batch, talk.Notice{User: u, Folders: folders})
		delete(users, u)
	}
	if len(batch) == 0 {
		delete(c.waiting, node)
	}
	return batch
}

func (c *courier) deliver(node cluster.NodeID) {
	for {
		batch := c.take(node)
		if len(batch) == 0 {
			return
		}
		slices.SortFunc(batch, func(a, b talk.Notice) int { return cmp.Compare(a.User, b.User) })
		if err := c.send(node, talk.MarshalNotices(batch)); err != nil {
			// A node that is away asks anew when it sees the next view; one that is not misses what changed until the
			// next change, or until its client asks.
			c.lost.Add(int64(len(batch)))
			c.cfg.Logger.Debug("notices not told", "node", node, "users", len(batch), "err", err)
			continue
		}
		c.told.Add(int64(len(batch)))
	}
}

func (c *courier) send(node cluster.NodeID, payload []byte) (err error) {
	for try := range noticeRetries {
		if try > 0 {
			timer := time.NewTimer(noticePause)
			select {
			case <-timer.C:
			case <-c.ctx.Done():
			}
			timer.Stop()
		}
		ctx, cancel := context.WithTimeout(c.ctx, noticeTimeout)
		_, err = c.cluster.Tell(ctx, node, talk.MethodChanged, payload)
		cancel()
		if err == nil || c.ctx.Err() != nil {
			return err
		}
	}
	return err
}
