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
	notTold func(cluster.NodeID, []mail.User) // called without the lock

	mu      sync.Mutex
	closed  bool
	waiting map[cluster.NodeID]map[mail.User][]mail.FolderID // a node that is in it has a goroutine
	running sync.WaitGroup
}

func newCourier(node substrate, cfg Config, notTold func(cluster.NodeID, []mail.User)) *courier {
	c := &courier{cluster: node, cfg: cfg, notTold: notTold, waiting: make(map[cluster.NodeID]map[mail.User][]mail.FolderID)}
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
	if !c.queue(node, u, folders) {
		c.lose(node, []mail.User{u})
	}
}

// queue puts a notice into the line of its node. false: that is full.
func (c *courier) queue(node cluster.NodeID, u mail.User, folders []mail.FolderID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return true // nobody waits for it any more
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
		return false
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
	return true
}

// lose gives notices up. The node hears of it when it asks for the watches again (serveWatch).
func (c *courier) lose(node cluster.NodeID, users []mail.User) {
	c.lost.Add(int64(len(users)))
	c.notTold(node, users)
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
			users := make([]mail.User, 0, len(batch))
			for i := range batch {
				users = append(users, batch[i].User)
			}
			c.lose(node, users)
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
