package folders

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication/join"
	"porcupine/internal/mail"
)

// view is what registers say, read once.
type view struct {
	folders     map[mail.FolderID]*state   // every id that is known, INBOX and the default folders included
	names       map[string][]mail.FolderID // of each name the folders that have it: the one it belongs to first
	below       map[string]bool            // the names that have folders below them
	history     map[string][]holder        // of each name those that had it
	subscribed  map[string]bool            // by name: what was written, true or false
	annotations map[mail.FolderID]map[string]string
	general     map[string]string // annotations of the whole mailbox
	validity    uint32            // the largest known
}

// holder is a folder that had a name, and the UIDVALIDITY that it had then.
type holder struct {
	validity uint32
	id       mail.FolderID
}

func newView(registers join.Registers) *view {
	v := &view{
		folders: map[mail.FolderID]*state{mail.Inbox: {validity: defaultValidity(0), path: inboxName}},
		names:   map[string][]mail.FolderID{}, below: map[string]bool{}, history: map[string][]holder{},
		subscribed: map[string]bool{}, annotations: map[mail.FolderID]map[string]string{}, general: map[string]string{},
	}
	for i, s := range uses() {
		k := byte(i + 1)
		v.folders[defaultID(k)] = &state{validity: defaultValidity(k), use: k, path: s.name}
	}
	var bumps []holder
	for i := range registers {
		if b, ok := v.read(&registers[i]); ok {
			bumps = append(bumps, b)
		}
	}
	for _, b := range bumps {
		if s, ok := v.folders[b.id]; ok {
			s.isBumped = s.isBumped || b.validity > s.validity
			s.validity = max(s.validity, b.validity)
		}
	}
	v.nameAll(registers)
	return v
}

// read takes in one register; a bump is given back, to be applied when all folders are known.
func (v *view) read(r *join.Register) (bump holder, ok bool) {
	switch rest := r.Name[1:]; r.Name[0] {
	case kindFolder:
		if id, more, ok := cutID(rest); ok && more == "" && id != mail.Inbox {
			s := readState(r)
			v.folders[id] = &s
		}
	case kindBump:
		if id, more, ok := cutID(rest); ok && isSet(r) {
			validity, more, ok := cutValidity(more)
			return holder{validity, id}, ok && more == ""
		}
	case kindHistory:
		validity, more, ok := cutValidity(rest)
		if !ok || !isSet(r) {
			break
		}
		if id, path, ok := cutID(more); ok {
			v.history[path] = append(v.history[path], holder{validity, id})
			v.validity = max(v.validity, validity)
		}
	case kindSubscribed:
		if fault(rest) == "" {
			v.subscribed[rest] = isSet(r)
		}
	case kindAnnotation:
		if id, entry, ok := cutID(rest); ok && isSet(r) && entry != "" {
			if v.annotations[id] == nil {
				v.annotations[id] = map[string]string{}
			}
			v.annotations[id][entry] = string(r.Value[1:])
		}
	case kindGeneral:
		if isSet(r) && rest != "" {
			v.general[rest] = string(r.Value[1:])
		}
	}
	return bump, false
}

// nameAll gives each name to a folder.
func (v *view) nameAll(registers join.Registers) {
	for id, s := range v.folders {
		v.validity = max(v.validity, s.validity)
		if s.path == "" {
			continue
		}
		v.names[s.path] = append(v.names[s.path], id)
		for _, name := range above(s.path) {
			v.below[name] = true
		}
	}
	for _, ids := range v.names {
		slices.SortFunc(ids, func(a, b mail.FolderID) int {
			return cmp.Or(cmp.Compare(v.folders[b].validity, v.folders[a].validity), strings.Compare(string(b[:]), string(a[:])))
		})
	}
	if given := counter(registers, counterValidity); given > 0 {
		v.validity = max(v.validity, uint32(min(given, math.MaxUint32)))
	}
}

// owner gives the folder that a name belongs to.
func (v *view) owner(name string) (mail.FolderID, bool) {
	if ids := v.names[name]; len(ids) > 0 {
		return ids[0], true
	}
	return mail.FolderID{}, false
}

// isStale reports whether a folder may not be shown under a name: it, or another one, was there before with a
// greater UIDVALIDITY, or another one with the same (U1, U4).
func (v *view) isStale(name string, id mail.FolderID, validity uint32) bool {
	return slices.ContainsFunc(v.history[name], func(h holder) bool {
		return h.validity > validity || h.validity == validity && h.id != id
	})
}

// isSubscribed: INBOX and the names of the default folders are subscribed from the beginning, and stay so until somebody
// takes that away: to names, not folders (RFC 9051 §6.3.7).
func (v *view) isSubscribed(name string) bool {
	if on, written := v.subscribed[name]; written {
		return on
	}
	return isFirstName(name)
}

// folder describes the folder that has a name.
func (t *Tree) folder(name string, id mail.FolderID) Folder {
	s := t.view.folders[id]
	f := Folder{Name: name, ID: id, Exists: true, Children: t.view.below[name], UIDValidity: s.validity}
	f.Subscribed = t.view.isSubscribed(name)
	if t.hasUse(s, id) {
		f.Use = nameOfUse(s.use)
	}
	return f
}

// hasUse reports whether, of all folders with one special use, a folder is the one to show it: a default
// folder gives way to any other, and after that the later one has it.
func (t *Tree) hasUse(s *state, id mail.FolderID) bool {
	rank := func(id mail.FolderID) []byte {
		s := t.view.folders[id]
		made := byte(1)
		if IsDefault(id) {
			made = 0
		}
		return append([]byte{made, byte(s.validity >> 24), byte(s.validity >> 16), byte(s.validity >> 8), byte(s.validity)}, id[:]...)
	}
	if s.use == 0 {
		return false
	}
	mine := string(rank(id))
	for _, ids := range t.view.names {
		if o := t.view.folders[ids[0]]; o.use == s.use && ids[0] != id && string(rank(ids[0])) > mine {
			return false
		}
	}
	return true
}

// Folder is one name in a listing.
type Folder struct {
	Name string // the canonical path
	ID   mail.FolderID
	// Exists: there is such a folder. If not, the name is subscribed, or something is below it, or both;
	// it has no ID then.
	Exists      bool
	Subscribed  bool
	Children    bool   // folders that exist are below it
	Use         string // special use, such as `\Sent`, or ""
	UIDValidity uint32
}

// List gives all names, ascending, INBOX first. The slice is the caller's.
func (t *Tree) List() []Folder {
	v := t.view
	all := map[string]bool{}
	for name := range v.names {
		all[name] = true
	}
	for name := range v.below {
		all[name] = true
	}
	for _, name := range firstNames() {
		all[name] = v.isSubscribed(name) || all[name]
	}
	for name, on := range v.subscribed {
		all[name] = on || all[name]
	}
	maps.DeleteFunc(all, func(_ string, listed bool) bool { return !listed })
	list := make([]Folder, 0, len(all))
	for _, name := range slices.SortedFunc(maps.Keys(all), compareNames) {
		if id, ok := v.owner(name); ok {
			list = append(list, t.folder(name, id))
			continue
		}
		list = append(list, Folder{Name: name, Subscribed: v.isSubscribed(name), Children: v.below[name]})
	}
	return list
}

// compareNames puts INBOX and what is below it first, and what is below a folder just after it.
func compareNames(a, b string) int {
	inbox := func(name string) int {
		if name == inboxName || isBelow(name, inboxName) {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(inbox(a), inbox(b)), slices.Compare(strings.Split(a, Separator), strings.Split(b, Separator)))
}

// Find gives the folder of a name, in whatever form a client wrote it. KindNotFound: no such folder.
// KindInvalid, KindLimit: no such name can be.
func (t *Tree) Find(name string) (Folder, error) {
	name, err := Canonical(name)
	if err != nil {
		return Folder{}, err
	}
	id, ok := t.view.owner(name)
	if !ok {
		return Folder{}, notFound(name)
	}
	return t.folder(name, id), nil
}

func notFound(name string) error {
	return cluster.Errorf(cluster.KindNotFound, opName(name), "there is no such folder")
}

// Folder gives a folder by its id, if it exists and has a name (else see Home).
func (t *Tree) Folder(id mail.FolderID) (Folder, bool) {
	s, ok := t.view.folders[id]
	if !ok || s.path == "" {
		return Folder{}, false
	}
	if owner, _ := t.view.owner(s.path); owner != id {
		return Folder{}, false
	}
	return t.folder(s.path, id), true
}

// IsGone reports whether a folder was there and was deleted: not merged into another. Of one that was deleted long ago, as of one that never was, nothing is known.
func (t *Tree) IsGone(id mail.FolderID) bool {
	r, ok := t.registers.Get(nameOf(kindFolder, id, ""))
	isGone := ok && len(r.Value) > 0 && r.Value[0] == stateGone // not one in the form of a later version
	return isGone && t.view.folders[id].into == mail.Inbox
}

// Home says in which folder a message that was put into a folder is to be found now: in that, if it
// exists; in the one that it was merged into, or is to be; else in INBOX. What it gives always exists.
func (t *Tree) Home(id mail.FolderID) mail.FolderID {
	for range len(t.view.folders) { // two merges on two sides may go round in a circle
		s, ok := t.view.folders[id]
		if !ok {
			break
		}
		if s.path != "" {
			owner, _ := t.view.owner(s.path)
			return owner
		}
		id = s.into
	}
	return mail.Inbox
}

// HighWater is the largest UIDVALIDITY known.
func (t *Tree) HighWater() uint32 { return t.view.validity }
