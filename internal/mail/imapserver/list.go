package imapserver

import (
	"context"
	"slices"
	"strings"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail/imap"
)

// list carries out LIST (RFC 9051 §6.3.9, RFC 5258) and LSUB (RFC 3501 §6.3.9).
func (s *session) list(c imap.List, lsub bool) imap.Reply {
	verb := imap.VerbList
	if lsub {
		verb = imap.VerbLsub
	}
	if !c.Several && len(c.Patterns) == 1 && c.Patterns[0] == "" {
		s.say(imap.ListData{Lsub: lsub, Attributes: []string{imap.AttrNoSelect}})
		return done(verb)
	}
	if c.RecursiveMatch && !c.SelectSubscribed && !c.SelectSpecialUse {
		return s.wrong("RECURSIVEMATCH needs another option") // RFC 5258 §3.1
	}
	ctx, cancel := s.service()
	defer cancel()
	folders, err := s.mailbox.Folders(ctx)
	if err != nil {
		return s.failure(err, onOther)
	}
	q := newListing(c, folders, lsub)
	q.rev2 = s.enabled.rev2
	sent := time.Now()
	for _, n := range q.names {
		data, ok := q.entry(n)
		if !ok {
			continue
		}
		s.sayEntry(ctx, q, data)
		if time.Since(sent) < min(stillEvery, s.srv.cfg.KeepAlive) {
			continue
		}
		if s.out.Flush() != nil { // nobody listens
			s.end(EndedGone)
			return imap.Reply{}
		}
		sent = time.Now()
	}
	return done(verb)
}

// sayEntry tells of one folder, and of its state if that was asked for (RFC 5819). A state that cannot be
// told now is left out; but a folder that is gone meanwhile is no folder to select (RFC 9051 §6.3.9.2), so the
// state is looked up BEFORE anything is told.
func (s *session) sayEntry(ctx context.Context, q *listing, data imap.ListData) {
	f := q.folders[data.Folder]
	if len(q.ask.ReturnStatus) == 0 || !f.Exists || !q.isSelected(f) {
		s.say(data)
		return
	}
	st, err := s.mailbox.Status(ctx, data.Folder)
	switch {
	case cluster.IsKind(err, cluster.KindNotFound):
		f.Exists = false
		data.Attributes = q.attributes(f)
	case err != nil:
		s.failure(err, onFolder) // to the log
	}
	s.say(data)
	if err == nil {
		s.sayStatus(data.Folder, q.ask.ReturnStatus, st)
	}
}

// listing is one LIST: what was asked, and all folders. It is pure.
type listing struct {
	ask      imap.List
	lsub     bool
	rev2     bool // the client speaks IMAP4rev2
	patterns []*imap.Pattern
	names    []string // ascending, with the names that are only above others
	folders  map[string]Folder
	children map[string]bool // names that have an existing folder below them
	// below are names that have a folder below them that is selected, and that no pattern matches.
	below map[string]bool
}

func newListing(c imap.List, folders []Folder, lsub bool) *listing {
	q := &listing{ask: c, lsub: lsub, folders: make(map[string]Folder, len(folders)), children: map[string]bool{}, below: map[string]bool{}}
	if lsub {
		q.ask.SelectSubscribed = true
	}
	for _, p := range c.FullPatterns() {
		q.patterns = append(q.patterns, imap.CompilePattern(p))
	}
	for _, f := range folders {
		q.folders[f.Name] = f
	}
	for _, f := range folders {
		for above := range parents(f.Name) {
			if _, known := q.folders[above]; !known {
				q.folders[above] = Folder{Name: above}
			}
			q.children[above] = q.children[above] || f.Exists
			if q.isSelected(f) && !q.matches(f.Name) {
				q.below[above] = true
			}
		}
	}
	for n := range q.folders {
		q.names = append(q.names, n)
	}
	slices.Sort(q.names)
	return q
}

// parents gives the names above a name, the nearest first.
func parents(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for {
			i := strings.LastIndexByte(name, imap.Delimiter)
			if i < 0 || !yield(name[:i]) {
				return
			}
			name = name[:i]
		}
	}
}

// matches reports whether one of the patterns matches.
func (q *listing) matches(name string) bool {
	return slices.ContainsFunc(q.patterns, func(p *imap.Pattern) bool { return p.Match(name) })
}

// isSelected reports whether a folder is among those that the selection options name.
func (q *listing) isSelected(f Folder) bool {
	switch {
	case q.ask.SelectSubscribed && !f.Subscribed:
		return false
	case q.ask.SelectSpecialUse && f.Use == "":
		return false
	}
	return q.ask.SelectSubscribed || f.Exists
}

// entry gives the line for a name; false: there is none.
func (q *listing) entry(name string) (imap.ListData, bool) {
	if !q.matches(name) {
		return imap.ListData{}, false
	}
	f := q.folders[name]
	data := imap.ListData{Lsub: q.lsub, Folder: name}
	selected := q.isSelected(f)
	if q.lsub {
		if !selected && q.below[name] { // RFC 3501 §6.3.9: the name that "%" stops at
			data.Attributes = []string{imap.AttrNoSelect}
			return data, true
		}
		if selected && !f.Exists {
			data.Attributes = []string{imap.AttrNoSelect}
		}
		return data, selected
	}
	recursive := q.ask.RecursiveMatch && q.below[name]
	plain := !q.ask.SelectSubscribed && !q.ask.SelectSpecialUse && q.children[name]
	if !selected && !recursive && !plain {
		return data, false
	}
	data.Attributes = q.attributes(f)
	if recursive && q.ask.SelectSubscribed {
		data.ChildInfo = append(data.ChildInfo, "SUBSCRIBED")
	}
	if recursive && q.ask.SelectSpecialUse {
		data.ChildInfo = append(data.ChildInfo, "SPECIAL-USE")
	}
	return data, true
}

// attributes says what a folder is.
func (q *listing) attributes(f Folder) []string {
	var a []string
	switch { // one of them (RFC 9051 §9, mbx-list-sflag)
	case f.Exists:
	case q.ask.Several || q.rev2:
		a = append(a, imap.AttrNonExistent)
	default:
		a = append(a, imap.AttrNoSelect) // which every IMAP4rev1 client knows
	}
	if f.Subscribed && (q.ask.SelectSubscribed || q.ask.ReturnSubscribed) {
		a = append(a, imap.AttrSubscribed)
	}
	if q.children[f.Name] {
		a = append(a, imap.AttrHasChildren)
	} else {
		a = append(a, imap.AttrHasNoChildren)
	}
	if f.Use != "" {
		a = append(a, f.Use)
	}
	return a
}
