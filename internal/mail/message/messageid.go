package message

// parseMessageIDs gives the message ids in a text, without angle brackets, blanks and quotes: two ways to
// write one id give the same (RFC 5256 §3). What stands around them is stepped over. An angle that
// another one begins in is none.
func parseMessageIDs(s string) (ids []string) {
	var id []byte
	l := lexer{s: s}
	inside := false
	for l.pos < len(s) {
		c := s[l.pos]
		switch {
		case c == '(' && !inside:
			l.comment()
			continue
		case c == '<':
			inside, id = true, id[:0]
		case !inside || c == ' ' || c == '\t':
		case c == '>':
			if len(id) > 0 && len(id) <= MessageIDMax {
				ids = append(ids, string(id))
			}
			inside = false
		case c == '"':
			if text, ok := l.quoted(); ok {
				id = append(id, text...)
			}
			continue
		default:
			id = append(id, c)
		}
		l.pos++
	}
	return ids
}
