package store

import (
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"porcupine/internal/cluster/store/internal/iowatch"
)

const (
	// spacePeriod is how long a reading of the free space is trusted.
	spacePeriod = time.Second
	// spaceShare: a reading is also renewed after MinFree/spaceShare bytes were written.
	spaceShare = 32
	// roomAgainPercent of MinFree must be free before new objects are taken again: hysteresis, so
	// that a node at the edge does not flap between full and not full.
	roomAgainPercent = 110
)

// space is the low-disk guard (Q3). It refuses new objects long before the engine meets a full
// disk, which would be fatal for its log. No goroutine: whoever asks renews a stale reading.
type space struct {
	s       *Store
	free    atomic.Int64 // bytes, at the last reading
	full    atomic.Bool
	readAt  atomic.Int64 // wall clock, nanoseconds
	written atomic.Int64 // bytes since the last reading
	unknown atomic.Bool  // the file system cannot tell
	asking  atomic.Bool  // somebody waits for the file system's answer
}

// wrote counts bytes handed to the disk.
func (p *space) wrote(n int64) { p.written.Add(n) }

// isFull reports whether new objects must be refused.
func (p *space) isFull() bool {
	p.renew()
	return p.full.Load()
}

// hasRoom reports whether size more bytes may be written.
func (p *space) hasRoom(size int64) bool {
	return !p.isFull() && (p.unknown.Load() || p.free.Load()-size >= p.s.cfg.MinFree)
}

// missing gives how much less than want is free: 0 or less if there is enough, or it is unknown.
func (p *space) missing(want int64) int64 {
	p.renew()
	if p.unknown.Load() {
		return 0
	}
	return want - p.free.Load()
}

// Spare gives how many octets the disk has left beyond Config.MinFree; negative: the reserve is in use. False: the file
// system cannot tell. It waits for nothing but, once a second, one question to the file system.
func (s *Store) Spare() (octets int64, known bool) {
	s.space.renew()
	return s.space.free.Load() - s.cfg.MinFree, !s.space.unknown.Load()
}

// renew reads the free space again if the last reading is stale. One caller does, the others go
// on with what is known.
func (p *space) renew() {
	now, last := p.s.cfg.Now().UnixNano(), p.readAt.Load()
	age := time.Duration(now - last)
	fresh := last != 0 && age >= 0 && age < spacePeriod // a clock that went back makes it stale
	if fresh && p.written.Load() < p.s.cfg.MinFree/spaceShare {
		return
	}
	if !p.readAt.CompareAndSwap(last, now) {
		return
	}
	p.written.Store(0)
	if !p.asking.CompareAndSwap(false, true) {
		return // a disk that hangs holds one of those who ask, not all of them
	}
	defer p.asking.Store(false)
	place := p.s.fs.Underway.Begin(iowatch.DeedAsk)
	usage, err := p.s.cfg.FS.GetDiskUsage(p.s.cfg.Dir)
	p.s.fs.Underway.End(place)
	p.update(usage, err)
}

func (p *space) update(usage vfs.DiskUsage, err error) {
	if err != nil {
		if !p.unknown.Swap(true) {
			p.s.cfg.Logger.Warn("store: the free disk space cannot be read, the low-disk guard is off", "dir", p.s.cfg.Dir, "err", err)
		}
		p.full.Store(false)
		return
	}
	p.unknown.Store(false)
	free := int64(min(usage.AvailBytes, 1<<63-1))
	p.free.Store(free)
	switch was := p.full.Load(); {
	case !was && free < p.s.cfg.MinFree:
		p.full.Store(true)
		p.s.cfg.Logger.Warn("store: the disk is nearly full, new objects are refused; delete mail or add space",
			"dir", p.s.cfg.Dir, "free", free, "min_free", p.s.cfg.MinFree)
	case was && free >= p.s.cfg.MinFree/100*roomAgainPercent:
		p.full.Store(false)
		p.s.cfg.Logger.Info("store: there is room again, new objects are taken", "dir", p.s.cfg.Dir, "free", free)
	}
}
