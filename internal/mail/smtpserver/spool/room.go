package spool

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
)

// RoomOctetsDefault is RoomConfig.OctetsMax if that is zero.
const RoomOctetsDefault = 5 << 30

// Which part of a Room the messages of one network, and of all networks of one site, may have: one
// in so many. What a few clients begin and do not end must leave room for everybody else.
const (
	roomNetworkShare = 4
	roomSiteShare    = 2
)

// RoomConfig says how much a Room holds.
type RoomConfig struct {
	// OctetsMax bounds the octets of messages in files. One network may have a quarter of it, so it
	// should be five times the largest message.
	OctetsMax int64
	// Spare tells how many octets the disk has left beyond its reserve; false: nobody knows. Messages
	// under way never have more than they leave there, or what is to be made of them would find
	// no place. Nil: the disk is not looked at.
	Spare func() (octets int64, known bool)
}

// Room bounds what messages under way have on the disk: in all, of each network, and in relation to
// what is free. Spools may share one. It is safe for use by many goroutines.
type Room struct {
	cfg     RoomConfig
	refused atomic.Int64

	mu        sync.Mutex
	total     int64
	byNetwork map[netip.Prefix]int64 // of networks and sites that have any
}

// NewRoom makes an empty Room.
func NewRoom(cfg RoomConfig) *Room {
	if cfg.OctetsMax <= 0 {
		cfg.OctetsMax = RoomOctetsDefault
	}
	if cfg.Spare == nil {
		cfg.Spare = func() (int64, bool) { return 0, false }
	}
	return &Room{cfg: cfg, byNetwork: make(map[netip.Prefix]int64)}
}

// Octets gives how much messages have on the disk now.
func (r *Room) Octets() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

// Refused counts the times that there was no room.
func (r *Room) Refused() int64 { return r.refused.Load() }

// take counts n octets in that a client of the address is about to have written, or with taken false only says whether they would be;
// the zero address is nobody in particular. KindLimit: others, or the network itself, have what there is; KindFull: the disk has no more.
func (r *Room) take(from netip.Addr, n int64, taken bool) error {
	spare, known := r.cfg.Spare() // may ask the disk: BEFORE the lock
	network, site, hasSite := countedBy(from)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.total+n > r.cfg.OctetsMax:
		return r.none(cluster.KindLimit, "messages under way have %d of %d octets on the disk; if that is no attack, raise smtp.spool_max", r.total, r.cfg.OctetsMax)
	case network.IsValid() && r.byNetwork[network]+n > r.cfg.OctetsMax/roomNetworkShare:
		return r.none(cluster.KindLimit, "messages under way from %v have %d octets on the disk, the share of one network; if that is no attack, raise smtp.spool_max", network, r.byNetwork[network])
	case hasSite && r.byNetwork[site]+n > r.cfg.OctetsMax/roomSiteShare:
		return r.none(cluster.KindLimit, "messages under way from %v have %d octets on the disk, the share of one site; if that is no attack, raise smtp.spool_max", site, r.byNetwork[site])
	// What is free may have been read a moment ago. It has shrunk by no more than total has grown
	// since, so even then nothing is taken from the reserve.
	case known && r.total+n > spare-n:
		return r.none(cluster.KindFull, "messages under way have %d octets on the disk, which has %d left beyond its reserve (store.min_free); free some space", r.total, spare)
	}
	if taken {
		r.countLocked(network, site, n)
	}
	return nil
}

// give counts octets out that were taken.
func (r *Room) give(from netip.Addr, n int64) {
	if n == 0 {
		return
	}
	network, site, _ := countedBy(from)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.countLocked(network, site, -n)
}

func (r *Room) countLocked(network, site netip.Prefix, n int64) {
	r.total += n
	for _, p := range []netip.Prefix{network, site} {
		if !p.IsValid() {
			continue
		}
		if r.byNetwork[p] += n; r.byNetwork[p] == 0 {
			delete(r.byNetwork, p)
		}
	}
}

// countedBy gives the network and the site of an address; those that it has none of are not valid, and who brings the mail of many
// has none.
func countedBy(from netip.Addr) (network, site netip.Prefix, hasSite bool) {
	if mail.IsOfThisSite(from) {
		return network, site, false
	}
	network = mail.NetworkOf(from)
	site, hasSite = mail.SiteOf(network)
	return network, site, hasSite
}

func (r *Room) none(kind cluster.Kind, format string, args ...any) error {
	r.refused.Add(1)
	return cluster.Errorf(kind, "make room in the spool", format, args...)
}
