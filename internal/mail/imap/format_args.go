package imap

import "strings"

// selecting writes the arguments of SELECT.
func (f *formatter) selecting(s Select) {
	f.raw(" ").named(s.Folder, s.Given)
	var params []string
	if s.CondStore {
		params = append(params, "CONDSTORE")
	}
	if q := s.QResync; q != nil {
		g := formatter{}
		g.raw("QRESYNC (").number(uint64(q.UIDValidity)).raw(" ").number(uint64(q.ModSeq))
		if !q.Known.Empty() {
			g.raw(" ").set(q.Known)
		}
		if !q.MatchNumbers.Empty() {
			g.raw(" (").set(q.MatchNumbers).raw(" ").set(q.MatchUIDs).raw(")")
		}
		params = append(params, string(g.raw(")").dst))
	}
	if len(params) > 0 {
		f.raw(" (").raw(strings.Join(params, " ")).raw(")")
	}
}

func (f *formatter) statusItems(items []StatusItem) *formatter {
	return f.list(len(items), func(i int) { f.raw(string(items[i])) })
}

// options writes the names that are set, in parentheses.
func options(names ...option) string {
	var set []string
	for _, n := range names {
		if n.set {
			set = append(set, n.name)
		}
	}
	return "(" + strings.Join(set, " ") + ")"
}

type option struct {
	name string
	set  bool
}

// listing writes the arguments of LIST and LSUB.
func (f *formatter) listing(l List) {
	f.raw(" ")
	if !l.Several {
		f.folder(l.Reference)
		for _, p := range l.Patterns { // one
			f.raw(" ").pattern(p)
		}
		return
	}
	f.raw(options(option{"SUBSCRIBED", l.SelectSubscribed}, option{"REMOTE", l.SelectRemote},
		option{"RECURSIVEMATCH", l.RecursiveMatch}, option{"SPECIAL-USE", l.SelectSpecialUse})).raw(" ")
	f.folder(l.Reference).raw(" ")
	f.list(len(l.Patterns), func(i int) { f.pattern(l.Patterns[i]) })
	ret := options(option{"SUBSCRIBED", l.ReturnSubscribed}, option{"CHILDREN", l.ReturnChildren},
		option{"SPECIAL-USE", l.ReturnSpecialUse}, option{"STATUS", l.ReturnStatus != nil})
	f.raw(" RETURN ")
	if l.ReturnStatus == nil {
		f.raw(ret)
		return
	}
	f.raw(strings.TrimSuffix(ret, ")")).raw(" ").statusItems(l.ReturnStatus).raw(")")
}

func (f *formatter) pattern(p string) *formatter {
	if !f.dialect.UTF8 {
		p = EncodeUTF7(p)
	}
	if p != "" && every(p, isListChar) {
		return f.raw(p)
	}
	f.dst = appendString(f.dst, []byte(p), f.dialect, f.form)
	return f
}

// getMetadata writes the arguments of GETMETADATA.
func (f *formatter) getMetadata(g GetMetadata) {
	f.raw(" ")
	var opts []string
	if g.MaxSize != nil {
		opts = append(opts, "MAXSIZE "+string((&formatter{}).number(uint64(*g.MaxSize)).dst))
	}
	switch g.Depth {
	case DepthOne:
		opts = append(opts, "DEPTH 1")
	case DepthInfinity:
		opts = append(opts, "DEPTH infinity")
	}
	if len(opts) > 0 {
		f.raw("(").raw(strings.Join(opts, " ")).raw(") ")
	}
	f.folder(g.Folder).raw(" ")
	f.list(len(g.Entries), func(i int) { f.astring(g.Entries[i]) })
}

// notify writes the arguments of NOTIFY.
func (f *formatter) notify(n Notify) {
	if n.None {
		f.raw(" NONE")
		return
	}
	f.raw(" SET")
	if n.Status {
		f.raw(" STATUS")
	}
	for _, g := range n.Groups {
		f.raw(" (").filter(g.Filter).raw(" ")
		if len(g.Events) == 0 {
			f.raw("NONE)")
			continue
		}
		f.list(len(g.Events), func(i int) {
			f.raw(string(g.Events[i].Kind))
			if len(g.Events[i].Fetch) > 0 {
				f.raw(" ").fetchItems(g.Events[i].Fetch)
			}
		}).raw(")")
	}
}

func (f *formatter) filter(filter FolderFilter) *formatter {
	f.raw(string(filter.Kind))
	if len(filter.Folders) == 0 {
		return f
	}
	return f.raw(" ").list(len(filter.Folders), func(i int) { f.folder(filter.Folders[i]) })
}
