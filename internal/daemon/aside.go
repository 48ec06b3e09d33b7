package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/identity"
	"porcupine/internal/cluster/membership"
	"porcupine/internal/cluster/store"
	"porcupine/internal/mail/objects"
)

// A node that the others refuse for good (it was struck, or its data directory was rolled back) sets its
// hard state aside and comes back by itself, as a new node with an empty store: nobody is paged. The
// order makes each step safe to repeat after a crash:
//
//	the node stops in order; its store is closed
//	the marker is written     from here on it must happen
//	the store is renamed      to the name in the marker
//	the identity is replaced  another node id, the same cluster
//	the peers are remembered  the new node knows nobody
//	the marker is removed     BEFORE a store is made again
//
// A crash before the marker costs nothing: the next process is refused, too.

// markerName is the file in the data directory that says that the hard state is being set aside.
const markerName = "set-aside.json"

// asidePrefix begins the names of what was set aside.
const asidePrefix = "aside-"

// storeName is the folder of the store in the data directory.
const storeName = "store"

// marker says what is set aside, why, and where the other nodes are.
type marker struct {
	Why   string         `json:"why"`
	Node  cluster.NodeID `json:"node"` // whose hard state it is
	At    time.Time      `json:"at"`
	Name  string         `json:"name"` // what the store's folder is renamed to
	Peers []string       `json:"peers"`
}

// refusedError ends one life of the daemon: the next one begins by setting the hard state aside.
type refusedError struct{ marker marker }

func (e *refusedError) Error() string {
	return fmt.Sprintf("the other nodes refuse node %s for good (%s): its hard state is set aside, and it joins again as a new node", e.marker.Node, e.marker.Why)
}

// refused ends this life, because the other nodes take nothing from this process any more.
func (d *daemon) refused(why membership.Refusal) {
	if why == membership.RefusalTwin {
		d.fatal(fmt.Errorf("another process runs as node %s, on a copy of this data directory: stop one of them; give a second machine an empty data directory and 'porcupine join', never a copy",
			d.id.Node()))
		return
	}
	now := time.Now().UTC()
	m := marker{Why: why.String(), Node: d.id.Node(), At: now, Name: asideName(now, d.id.Node())}
	for _, k := range d.node.Known() {
		if k.ID != d.id.Node() {
			m.Peers = append(m.Peers, k.Addr)
		}
	}
	d.fatal(&refusedError{m})
}

func asideName(at time.Time, node cluster.NodeID) string {
	return asidePrefix + at.UTC().Format("20060102T150405Z") + "-" + node.String()
}

// write makes the marker durable.
func (m *marker) write(dataDir string) error {
	text, err := json.Marshal(m)
	if err == nil {
		err = identity.Dir(dataDir).WriteFile(markerName, text)
	}
	if err != nil {
		return fmt.Errorf("set aside the hard state of node %s: %w: make room or repair the disk, then start the node again", m.Node, err)
	}
	return nil
}

// readMarker gives the marker, nil if there is none.
func readMarker(dataDir string) (*marker, error) {
	path := filepath.Join(dataDir, markerName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	m := &marker{}
	if err == nil {
		err = json.Unmarshal(text, m)
	}
	if err == nil && (m.Name != filepath.Base(m.Name) || !strings.HasPrefix(m.Name, asidePrefix)) {
		err = fmt.Errorf("it names %q", m.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w: remove the file if it is damaged; if the node is still refused, it is written again", path, err)
	}
	return m, nil
}

// setAside does what a marker asks for, if there is one.
func (d *daemon) setAside() error {
	dataDir := d.cfg.DataDir
	m, err := readMarker(dataDir)
	if m == nil || err != nil {
		return err
	}
	if err := d.storeIsFree(m); err != nil {
		return err
	}
	op := func(what string, err error) error {
		return fmt.Errorf("set aside the hard state of node %s: %s: %w", m.Node, what, err)
	}
	from, to := filepath.Join(dataDir, storeName), filepath.Join(dataDir, m.Name)
	switch _, err := os.Lstat(to); {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return op("rename its store", err)
		}
	case err != nil:
		return op("look for "+to, err)
	}
	if err := syncFolder(dataDir); err != nil {
		return op("make the new name durable", err)
	}
	id, err := identity.Replace(identity.Dir(dataDir), identity.Options{Logger: d.log})
	if err != nil {
		return op("take a new identity", err)
	}
	peers, err := rememberedPeers(dataDir)
	if err != nil {
		return op("find the other nodes", err)
	}
	for _, addr := range m.Peers {
		if !slices.Contains(peers, addr) {
			peers = append(peers, addr)
		}
	}
	if err := RememberPeers(dataDir, peers[:min(len(peers), membership.PeersMax)]); err != nil {
		return op("remember the other nodes", err)
	}
	if err := os.Remove(filepath.Join(dataDir, markerName)); err != nil {
		return op("remove the marker", err)
	}
	if err := syncFolder(dataDir); err != nil {
		return op("make that durable", err)
	}
	d.log.Error("hard state set aside: the other nodes refuse this node for good, so it joins again as a new and empty one",
		"why", m.Why, "old_node", m.Node, "new_node", id.Node(), "set_aside_in", to,
		"advice", "what nobody else has is put back with 'porcupine store reinject "+to+"'; then remove the folder")
	return nil
}

// storeIsFree makes sure that no other process has the store open. One that cannot be opened for
// another reason is set aside as it is.
func (d *daemon) storeIsFree(m *marker) error {
	dir := filepath.Join(d.cfg.DataDir, storeName)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil // a crash came after it was renamed
	}
	id, err := identity.Load(identity.Dir(d.cfg.DataDir), identity.Options{Logger: d.log})
	if err != nil {
		return err
	}
	s, err := store.Open(store.Config{Dir: dir, ClusterID: id.Cluster(), Node: m.Node, Types: objects.Types(), Logger: d.log})
	switch {
	case cluster.IsKind(err, cluster.KindExists):
		return explainLock(d.cfg.DataDir, err)
	case err != nil:
		d.log.Warn("the store that is set aside cannot be opened", "dir", dir, "err", err)
		return nil
	}
	return s.Close()
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// asideMax bounds how many folders status names.
const asideMax = 64

// listAside names what was set aside in a data directory, oldest first.
func listAside(dataDir string) ([]string, error) {
	entries, err := os.ReadDir(dataDir)
	if err != nil {
		return nil, fmt.Errorf("list what was set aside: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), asidePrefix) && len(names) < asideMax {
			names = append(names, filepath.Join(dataDir, e.Name()))
		}
	}
	return names, nil
}

// A node that comes back serves clients only when it has met the others, or has waited for them:
// whoever is refused should not take mail in the moment before it hears that.
const (
	meetWait     = 2 * time.Second
	meetWaitLong = time.Minute // after an absence of more than half the grace period
)

// meetOthers waits until this node is in a view with others, if it knows of any.
func (d *daemon) meetOthers(ctx context.Context) error {
	if len(d.node.Known()) <= 1 && !d.hasPeers {
		return nil
	}
	wait := meetWait
	if away := d.away(); away > d.cfg.Upkeep.Grace.D()/2 {
		wait = meetWaitLong
		d.log.Warn("this node was away for long: it waits for the others before it serves", "away", away.Round(time.Minute), "at_most", wait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		changed := d.node.Changed() // BEFORE the view is looked at
		if len(d.node.View().Members) > 1 {
			return nil
		}
		select {
		case <-changed:
		case <-timer.C:
			d.log.Warn("no other node has been met yet: serving alone", "waited", wait)
			return nil
		case <-d.failed:
			return d.failure
		case <-ctx.Done():
			return nil
		}
	}
}

// The last sign of life: when this node was last a member together with others.
const (
	alivePeriod = time.Minute
	aliveName   = "alive"
)

// away is how long this node was not a member with others, by the wall clock; 0: nothing is known.
func (d *daemon) away() time.Duration {
	if d.lastAlive.IsZero() {
		return 0
	}
	return time.Since(d.lastAlive)
}

// readAlive reads the last sign of life of earlier processes.
func (d *daemon) readAlive() error {
	value, err := d.store.Meta(aliveName)
	if cluster.IsKind(err, cluster.KindNotFound) {
		return nil
	}
	if err == nil {
		err = d.lastAlive.UnmarshalBinary(value)
	}
	if err != nil {
		return fmt.Errorf("last sign of life: %w", err)
	}
	return nil
}

// keepAlive records signs of life while the node is a member with others. Losing one does no
// harm, so a failure is only logged.
func (d *daemon) keepAlive(ctx context.Context) {
	for {
		if len(d.node.View().Members) > 1 {
			value, err := time.Now().UTC().MarshalBinary()
			if err == nil {
				err = d.store.PutMeta(ctx, aliveName, value)
			}
			if err != nil && ctx.Err() == nil {
				d.log.Warn("sign of life not recorded", "err", err)
			}
		}
		if !sleep(ctx, alivePeriod) {
			return
		}
	}
}
