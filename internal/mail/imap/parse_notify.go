package imap

import "slices"

// notify reads NOTIFY (RFC 5465 §8).
func (r *reader) notify() Args {
	r.sp()
	var n Notify
	switch r.word("SET or NONE") {
	case "NONE":
		n.None = true
		return n
	case "SET":
	default:
		r.fail("expected SET or NONE")
		return n
	}
	r.sp()
	if n.Status = r.isWord("STATUS"); n.Status {
		r.sp()
	}
	for first := true; r.err == nil && (first || r.more()); first = false {
		if !first {
			r.sp()
		}
		n.Groups = append(n.Groups, r.eventGroup())
		r.atMost(len(n.Groups), EventGroupsMax, "groups of events")
	}
	return n
}

// eventGroup reads "(filter events)".
func (r *reader) eventGroup() (g EventGroup) {
	r.want('(')
	g.Filter = r.filter(true)
	r.sp()
	if !r.isWord("NONE") {
		r.list(len(eventKinds), "events", func() { g.Events = append(g.Events, r.event()) })
	}
	r.want(')')
	return g
}

// eventKinds are all events, as they are written.
var eventKinds = [...]EventKind{EventMessageNew, EventMessageExpunge, EventFlagChange, EventAnnotationChange, EventMailboxName,
	EventSubscriptionChange, EventMailboxMetadataChange, EventServerMetadataChange}

func (r *reader) event() (e Event) {
	name := r.atom("an event")
	for _, k := range eventKinds {
		if equalFold(string(k), name) {
			e.Kind = k
		}
	}
	if e.Kind == "" && r.err == nil {
		r.fail("unknown event") // the server may say NO [BADEVENT ...] for those it does not have
	}
	line := r.line()
	if e.Kind == EventMessageNew && r.pos+1 < len(line) && line[r.pos] == ' ' && line[r.pos+1] == '(' {
		r.pos++
		e.Fetch = r.fetchItems()
	}
	return e
}

// filter reads which folders are meant (RFC 5465 §8, RFC 7377 §3). SELECTED-DELAYED is for NOTIFY, SUBTREE-ONE
// for ESEARCH.
func (r *reader) filter(notify bool) (f FolderFilter) {
	f.Kind = FilterKind(lower(r.atom("which folders")))
	switch f.Kind {
	case FilterSelected, FilterInboxes, FilterPersonal, FilterSubscribed:
	case FilterSelectedDelayed:
		if !notify {
			r.fail("selected-delayed is for NOTIFY alone")
		}
	case FilterSubtree, FilterMailboxes, FilterSubtreeOne:
		if notify && f.Kind == FilterSubtreeOne {
			r.fail("subtree-one is for ESEARCH alone")
		}
		r.sp()
		if r.peek() != '(' {
			f.Folders = []string{r.folder()}
			break
		}
		r.list(FoldersMax, "folders", func() { f.Folders = append(f.Folders, r.folder()) })
	default:
		r.fail("unknown way to name folders")
	}
	return f
}

// sources reads "(filter filter ...)" of ESEARCH. Scope options, of which none are defined, are refused.
func (r *reader) sources() (sources []FolderFilter) {
	r.list(FoldersMax, "folders", func() { sources = append(sources, r.filter(false)) })
	named := 0
	for _, s := range sources {
		named += len(s.Folders)
	}
	r.atMost(named, FoldersMax, "folders")
	return slices.Clip(sources)
}
