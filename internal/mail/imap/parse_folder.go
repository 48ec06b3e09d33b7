package imap

import (
	"slices"
	"unicode/utf8"

	"porcupine/internal/mail"
)

// name reads the one argument of DELETE and the like.
func (r *reader) name() Args {
	r.sp()
	return Name{Folder: r.folder()}
}

// rename reads RENAME (RFC 9051 §6.3.6).
func (r *reader) rename() Args {
	r.sp()
	n := Rename{From: r.folder()}
	r.sp()
	n.To = r.folder()
	return n
}

// create reads CREATE (RFC 9051 §6.3.4), with the parameter USE (RFC 6154 §3).
func (r *reader) create() Args {
	r.sp()
	c := Create{Folder: r.folder()}
	c.Given = r.given
	if !r.more() {
		return c
	}
	r.sp()
	r.list(1, "parameters of CREATE", func() {
		if !r.isWord("USE") {
			r.fail("unknown parameter of CREATE")
			return
		}
		r.sp()
		r.optionalList(FlagsMax, "special uses", func() { c.Use = append(c.Use, r.attribute()) })
	})
	return c
}

// trimDelimiter takes away the delimiter at the end of a name.
func trimDelimiter(name string) string {
	if n := len(name); n > 1 && name[n-1] == Delimiter {
		return name[:n-1]
	}
	return name
}

// knownAttributes are attributes in the form in which they are shown.
var knownAttributes = [...]string{AttrNonExistent, AttrNoInferiors, AttrNoSelect, AttrHasChildren, AttrHasNoChildren, AttrSubscribed,
	AttrRemote, AttrMarked, AttrUnmarked, UseAll, UseArchive, UseDrafts, UseFlagged, UseImportant, UseJunk, UseSent, UseTrash}

// attribute reads an attribute of folders, such as `\Sent`. Known ones get the form in which they are shown.
func (r *reader) attribute() string {
	r.want('\\')
	a := `\` + r.atom("an attribute")
	for _, known := range knownAttributes {
		if equalFold(known, a) {
			return known
		}
	}
	return a
}

// selecting reads SELECT and EXAMINE (RFC 9051 §6.3.2, RFC 7162 §7).
func (r *reader) selecting() Args {
	r.sp()
	s := Select{Folder: r.folder()}
	s.Given = r.given
	if !r.more() {
		return s
	}
	r.sp()
	r.list(2, "parameters of SELECT", func() {
		switch r.word("a parameter of SELECT") {
		case "CONDSTORE":
			if s.CondStore {
				r.fail("CONDSTORE is there twice")
			}
			s.CondStore = true
		case "QRESYNC":
			if s.QResync != nil {
				r.fail("QRESYNC is there twice")
			}
			r.sp()
			s.QResync = r.qresync()
		default:
			r.fail("unknown parameter of SELECT")
		}
	})
	return s
}

// qresync reads the argument of QRESYNC (RFC 7162 §7).
func (r *reader) qresync() *QResync {
	q := &QResync{}
	r.want('(')
	q.UIDValidity = uint32(r.nzNumber(numberMax))
	r.sp()
	q.ModSeq = mail.ModSeq(r.nzNumber(number64Max))
	if r.more() {
		r.sp()
		if r.peek() != '(' {
			q.Known = r.plainSet()
			if r.more() {
				r.sp()
				r.match(q)
			}
		} else {
			r.match(q)
		}
	}
	r.want(')')
	return q
}

// match reads the numbers and UIDs that the client remembers: as many of one as of the other.
func (r *reader) match(q *QResync) {
	r.want('(')
	q.MatchNumbers = r.plainSet()
	r.sp()
	q.MatchUIDs = r.plainSet()
	r.want(')')
	if r.err == nil && q.MatchNumbers.size() != q.MatchUIDs.size() {
		r.fail("QRESYNC has more numbers than UIDs, or fewer")
	}
}

// plainSet reads a set without "*" and "$", in which RFC 7162 §7 allows neither.
func (r *reader) plainSet() NumSet {
	s := r.set()
	if s.Saved || s.hasStar() {
		r.fail(`neither "*" nor "$" can be there`)
	}
	return s
}

// lsub reads LSUB (RFC 3501 §6.3.9).
func (r *reader) lsub() Args {
	r.sp()
	l := List{Reference: r.reference()}
	r.sp()
	l.Patterns = []string{r.pattern()}
	return l
}

// listing reads LIST (RFC 9051 §6.3.9).
func (r *reader) listing() Args {
	var l List
	r.sp()
	if r.peek() == '(' {
		l.Several = true
		r.optionalList(StatusItemsMax, "selection options", func() { r.selectOption(&l) })
		r.sp()
	}
	l.Reference = r.reference()
	r.sp()
	if r.peek() == '(' {
		l.Several = true
		r.list(PatternsMax, "patterns", func() { l.Patterns = append(l.Patterns, r.pattern()) })
	} else {
		l.Patterns = []string{r.pattern()}
	}
	if r.more() {
		l.Several = true
		r.sp()
		if !r.isWord("RETURN") {
			r.fail("expected RETURN" + r.seen())
			return l
		}
		r.sp()
		r.optionalList(StatusItemsMax, "return options", func() { r.returnOption(&l) })
	}
	if l.RecursiveMatch && !l.SelectSubscribed && !l.SelectSpecialUse {
		r.fail("RECURSIVEMATCH needs another selection option beside it")
	}
	return l
}

func (r *reader) selectOption(l *List) {
	switch r.word("a selection option") {
	case "SUBSCRIBED":
		l.SelectSubscribed = true
	case "REMOTE":
		l.SelectRemote = true
	case "RECURSIVEMATCH":
		l.RecursiveMatch = true
	case "SPECIAL-USE":
		l.SelectSpecialUse = true
	default:
		r.fail("unknown selection option of LIST")
	}
}

func (r *reader) returnOption(l *List) {
	switch r.word("a return option") {
	case "SUBSCRIBED":
		l.ReturnSubscribed = true
	case "CHILDREN":
		l.ReturnChildren = true
	case "SPECIAL-USE":
		l.ReturnSpecialUse = true
	case "STATUS":
		r.sp()
		before := l.ReturnStatus // an option that is there twice is one option (RFC 9051 §6.3.9)
		for _, item := range r.statusItems() {
			if !slices.Contains(before, item) {
				l.ReturnStatus = append(l.ReturnStatus, item)
			}
		}
	default:
		r.fail("unknown return option of LIST")
	}
}

// pattern reads a pattern of LIST: an astring that may have wildcards (RFC 9051 §9, list-mailbox).
func (r *reader) pattern() string {
	s := string(r.run(isListChar))
	if s == "" {
		s = string(r.str("a pattern"))
	}
	if r.err != nil {
		return ""
	}
	return patternOf(s, r.dialect)
}

// reference reads the reference of LIST: what stands before each pattern.
func (r *reader) reference() string {
	s := r.astring("the name of a folder")
	if r.err != nil {
		return ""
	}
	return patternOf(s, r.dialect)
}

// matchesNothing is a pattern that no folder's name matches: none can have this character (see CheckName).
const matchesNothing = string(utf8.RuneError)

// patternOf decodes a pattern. One that no name can match, because it is no encoded name or too long, is none that
// is wrong: the client hears of no folder (RFC 9051 §6.3.9).
func patternOf(s string, d Dialect) string {
	pattern, err := decodeName(s, d)
	if err != nil || len(pattern) > PatternLengthMax {
		return matchesNothing
	}
	return pattern
}

// status reads STATUS (RFC 9051 §6.3.11).
func (r *reader) status() Args {
	r.sp()
	s := Status{Folder: r.folder()}
	r.sp()
	s.Items = r.statusItems()
	return s
}

func (r *reader) statusItems() (items []StatusItem) {
	r.list(StatusItemsMax, "status items", func() { items = append(items, r.statusItem()) })
	return items
}

func (r *reader) statusItem() StatusItem {
	item := StatusItem(r.word("a status item"))
	switch item {
	case StatusMessages, StatusRecent, StatusUIDNext, StatusUIDValidity, StatusUnseen, StatusDeleted, StatusSize,
		StatusHighestModSeq, StatusAppendLimit, StatusMailboxID, StatusDeletedStorage:
	default:
		r.fail("unknown status item")
	}
	return item
}
