package imap

import (
	"strings"

	"porcupine/internal/mail"
)

// Response appends any response, whole, with its CR LF.
func (e *Encoder) Response(r Response) *Encoder {
	switch r := r.(type) {
	case Reply:
		return e.reply(r)
	case Continue:
		return e.Raw("+ ").Raw(textLine(r.Text)).CRLF()
	case ESearchData:
		e.Raw("* ESEARCH")
		e.eSearch(r)
	case FetchData:
		e.BeginFetch(r.Number)
		for _, v := range r.Values {
			e.fetchValue(v)
		}
		return e.EndFetch()
	default:
		e.Raw("* ")
		if !e.folderData(r) && !e.sessionData(r) {
			e.messageData(r)
		}
	}
	return e.CRLF()
}

// reply appends a status response (RFC 9051 §7.1). The text is never empty, as the grammar wants it.
func (e *Encoder) reply(r Reply) *Encoder {
	tag := r.Tag
	if tag == "" {
		tag = "*"
	}
	e.Raw(tag).Raw(" ").Raw(string(r.Kind)).Raw(" ")
	if !r.Code.IsZero() {
		e.Raw("[")
		e.buf = appendCode(e.buf, r.Code, e.Dialect)
		e.Raw("] ")
	}
	text := textLine(r.Text)
	if text == "" {
		text = "."
	}
	// A text that begins with a bracket would be taken for a code.
	if r.Code.IsZero() && text[0] == '[' {
		e.Raw(" ")
	}
	return e.Raw(text).CRLF()
}

// textLine makes a text one line of ASCII, which every client can show.
func textLine(s string) string {
	if every(s, func(c byte) bool { return c >= 0x20 && c < 0x7f }) {
		return s
	}
	return strings.Map(func(c rune) rune {
		switch {
		case c < 0x20 || c == 0x7f:
			return ' '
		case c > 0x7f:
			return '?'
		}
		return c
	}, s)
}

// sessionData appends what is about the session.
func (e *Encoder) sessionData(r Response) bool {
	switch r := r.(type) {
	case CapabilityData:
		e.Raw("CAPABILITY").words(r.Names)
	case EnabledData:
		e.Raw("ENABLED").words(r.Names)
	case IDData:
		e.Raw("ID ")
		e.buf = appendID(e.buf, r.Fields, e.Dialect, literalSync)
	case NamespaceData:
		e.Raw("NAMESPACE").namespace(r.Personal).namespace(r.Others).namespace(r.Shared)
	case QuotaData:
		e.Raw("QUOTA ").AString(r.Root).Raw(" (")
		for i, q := range r.Resources {
			if i > 0 {
				e.Raw(" ")
			}
			e.Raw(q.Name).Raw(" ").Number(uint64(q.Usage)).Raw(" ").Number(uint64(q.Limit))
		}
		e.Raw(")")
	case QuotaRootData:
		e.Raw("QUOTAROOT ").Folder(r.Folder)
		for _, root := range r.Roots {
			e.Raw(" ").AString(root)
		}
	default:
		return false
	}
	return true
}

func (e *Encoder) words(words []string) *Encoder {
	for _, w := range words {
		e.Raw(" ").Raw(w)
	}
	return e
}

// namespace appends the namespaces of one kind (RFC 9051 §9, namespace).
func (e *Encoder) namespace(spaces []Namespace) *Encoder {
	if len(spaces) == 0 {
		return e.Raw(" NIL")
	}
	e.Raw(" (")
	for _, n := range spaces {
		prefix := n.Prefix
		if !e.Dialect.UTF8 {
			prefix = EncodeUTF7(prefix)
		}
		e.Raw("(").String([]byte(prefix)).Raw(" ").delimiter(n.Delimiter).Raw(")")
	}
	return e.Raw(")")
}

func (e *Encoder) delimiter(d byte) *Encoder {
	if d == 0 {
		return e.Raw("NIL")
	}
	return e.String([]byte{d})
}

// folderData appends what is about folders.
func (e *Encoder) folderData(r Response) bool {
	switch r := r.(type) {
	case ListData:
		e.list(r)
	case StatusData:
		e.Raw("STATUS ").Folder(r.Folder).Raw(" (")
		for i, v := range r.Values {
			if i > 0 {
				e.Raw(" ")
			}
			e.statusValue(v)
		}
		e.Raw(")")
	case FlagsData:
		e.Raw("FLAGS ").Flags(r.Flags)
	case MetadataData:
		e.Raw("METADATA ").Folder(r.Folder)
		if len(r.Values) == 0 {
			for _, name := range r.Changed {
				e.Raw(" ").AString(name)
			}
			break
		}
		e.Raw(" ")
		e.buf = appendMetadata(e.buf, r.Values, e.Dialect, literalSync)
	default:
		return false
	}
	return true
}

// list appends LIST and LSUB (RFC 9051 §7.3.1).
func (e *Encoder) list(l ListData) {
	name := "LIST ("
	if l.Lsub {
		name = "LSUB ("
	}
	delimiter := l.Delimiter
	if delimiter == 0 {
		delimiter = Delimiter
	}
	if l.NoLevels {
		delimiter = 0
	}
	e.Raw(name).Raw(strings.Join(l.Attributes, " ")).Raw(") ").delimiter(delimiter).Raw(" ").Folder(l.Folder)
	if len(l.ChildInfo) == 0 && l.OldName == "" {
		return
	}
	e.Raw(" (")
	if len(l.ChildInfo) > 0 {
		e.Raw(`"CHILDINFO" ("`).Raw(strings.Join(l.ChildInfo, `" "`)).Raw(`")`)
		if l.OldName != "" {
			e.Raw(" ")
		}
	}
	if l.OldName != "" {
		e.Raw(`"OLDNAME" (`).Folder(l.OldName).Raw(")")
	}
	e.Raw(")")
}

func (e *Encoder) statusValue(v StatusValue) {
	e.Raw(string(v.Item)).Raw(" ")
	switch {
	case v.Item == StatusMailboxID:
		e.Raw("(").Raw(v.ID).Raw(")")
	case v.Nil:
		e.Raw("NIL")
	default:
		e.Number(v.Number)
	}
}

// messageData appends what is about messages.
func (e *Encoder) messageData(r Response) {
	switch r := r.(type) {
	case ExistsData:
		e.Number(uint64(r.Count)).Raw(" EXISTS")
	case RecentData:
		e.Number(uint64(r.Count)).Raw(" RECENT")
	case ExpungeData:
		e.Number(uint64(r.Number)).Raw(" EXPUNGE")
	case VanishedData:
		e.Raw("VANISHED ")
		if r.Earlier {
			e.Raw("(EARLIER) ")
		}
		e.Set(SetOf(r.UIDs))
	case SearchData:
		e.Raw("SEARCH").numbers(r.Numbers, r.ModSeq)
	case SortData:
		e.Raw("SORT").numbers(r.Numbers, r.ModSeq)
	case ThreadData:
		e.Raw("THREAD")
		if len(r.Threads) > 0 {
			e.Raw(" ")
		}
		for _, t := range r.Threads {
			e.Raw("(").thread(t).Raw(")")
		}
	}
}

func (e *Encoder) numbers(numbers []uint32, m mail.ModSeq) {
	for _, n := range numbers {
		e.Raw(" ").Number(uint64(n))
	}
	if m != 0 {
		e.Raw(" (MODSEQ ").Number(uint64(m)).Raw(")")
	}
}

// thread appends a thread without its outer parentheses (RFC 5256 §4): a message and its only answer stand
// side by side, several answers each in parentheses.
func (e *Encoder) thread(t ThreadNode) *Encoder {
	for {
		if t.Number != 0 {
			e.Number(uint64(t.Number))
		}
		if len(t.Children) != 1 {
			break
		}
		if t.Number != 0 {
			e.Raw(" ")
		}
		t = t.Children[0]
	}
	if len(t.Children) > 0 && t.Number != 0 {
		e.Raw(" ")
	}
	for _, c := range t.Children {
		e.Raw("(").thread(c).Raw(")")
	}
	return e
}

// correlators appends what says of which search an ESEARCH is, as far as it is told.
func (e *Encoder) correlators(r ESearchData) {
	before := " ("
	next := func(name string) *Encoder {
		e.Raw(before).Raw(name)
		before = " "
		return e
	}
	if r.Tag != "" {
		next("TAG ").String([]byte(r.Tag))
	}
	if r.Folder != "" {
		next("MAILBOX ").Folder(r.Folder)
	}
	if r.UIDValidity != 0 {
		next("UIDVALIDITY ").Number(uint64(r.UIDValidity))
	}
	if before == " " {
		e.Raw(")")
	}
}

// eSearch appends the parts of ESEARCH (RFC 9051 §9, esearch-response; RFC 7377 §3).
func (e *Encoder) eSearch(r ESearchData) {
	e.correlators(r)
	if r.UID {
		e.Raw(" UID")
	}
	if r.Min != 0 {
		e.Raw(" MIN ").Number(uint64(r.Min))
	}
	if r.Max != 0 {
		e.Raw(" MAX ").Number(uint64(r.Max))
	}
	if r.HasCount {
		e.Raw(" COUNT ").Number(uint64(r.Count))
	}
	if !r.All.Empty() {
		e.Raw(" ALL ").Set(r.All)
	}
	if r.ModSeq != 0 {
		e.Raw(" MODSEQ ").Number(uint64(r.ModSeq))
	}
}
