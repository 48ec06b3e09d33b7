package imap

import "strings"

// getQuota reads GETQUOTA (RFC 9208 §4.1.1).
func (r *reader) getQuota() Args {
	r.sp()
	return GetQuota{Root: r.short(NameLengthMax, "a quota root")}
}

// setQuota reads SETQUOTA (RFC 9208 §4.1.3).
func (r *reader) setQuota() Args {
	r.sp()
	q := SetQuota{Root: r.short(NameLengthMax, "a quota root")}
	r.sp()
	r.optionalList(ResourcesMax, "resources", func() {
		l := QuotaLimit{Resource: r.word("a resource")}
		r.sp()
		l.Limit = int64(r.number(number64Max))
		q.Limits = append(q.Limits, l)
	})
	return q
}

// getMetadata reads GETMETADATA (RFC 5464 §5). Options are in front of the folder in the grammar, and behind it in
// examples that clients were made after: both are read.
func (r *reader) getMetadata() Args {
	r.sp()
	var g GetMetadata
	options := r.peek() == '('
	if options {
		r.metadataOptions(&g)
		r.sp()
	}
	g.Folder = r.folder()
	r.sp()
	if !options && r.isOption() {
		r.metadataOptions(&g)
		r.sp()
	}
	if r.peek() == '(' {
		r.list(EntriesMax, "entries", func() { g.Entries = append(g.Entries, r.entry()) })
		return g
	}
	g.Entries = []string{r.entry()}
	return g
}

// isOption reports whether a list comes next that begins with an option and not with an entry, which begins
// with "/".
func (r *reader) isOption() bool {
	line := r.line()
	return r.peek() == '(' && r.pos+1 < len(line) && isAtomChar(line[r.pos+1]) && line[r.pos+1] != '/'
}

func (r *reader) metadataOptions(g *GetMetadata) {
	r.list(2, "options", func() {
		switch r.word("an option") {
		case "MAXSIZE":
			r.sp()
			size := int64(r.number(numberMax))
			g.MaxSize = &size
		case "DEPTH":
			r.sp()
			switch lower(r.atom("a depth")) {
			case "0":
				g.Depth = DepthZero
			case "1":
				g.Depth = DepthOne
			case "infinity":
				g.Depth = DepthInfinity
			default:
				r.fail("DEPTH is 0, 1 or infinity")
			}
		default:
			r.fail("unknown option of GETMETADATA")
		}
	})
}

// setMetadata reads SETMETADATA (RFC 5464 §5).
func (r *reader) setMetadata() Args {
	r.sp()
	s := SetMetadata{Folder: r.folder()}
	r.sp()
	s.Values = r.metadataValues()
	return s
}

func (r *reader) metadataValues() (values []MetadataValue) {
	r.list(EntriesMax, "entries", func() {
		v := MetadataValue{Entry: r.entry()}
		r.sp()
		v.Value = r.value()
		values = append(values, v)
	})
	return values
}

// value reads nstring or literal8.
func (r *reader) value() []byte {
	if l := r.literal(); l != nil && l.binary && l.index < 0 && !l.pending {
		r.next()
		return append([]byte{}, l.octets...)
	}
	return r.nstring("a value")
}

// entry reads the name of an annotation (RFC 5464 §4.1): ASCII, case means nothing.
func (r *reader) entry() string {
	e := lower(r.short(EntryLengthMax, "an entry"))
	if r.err == nil && !isEntry(e) {
		r.fail("an entry is written /private/comment or /shared/comment")
	}
	return e
}

func isEntry(e string) bool {
	if len(e) < 2 || e[0] != '/' || e[len(e)-1] == '/' || strings.Contains(e, "//") {
		return false
	}
	return every(e, func(c byte) bool { return c > 0x19 && c < 0x7f && c != '*' && c != '%' })
}
