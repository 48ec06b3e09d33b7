package imap

import (
	"strconv"

	"porcupine/internal/mail"
)

// appendCode writes a response code without its brackets (RFC 9051 §9, resp-text-code).
func appendCode(dst []byte, c Code, d Dialect) []byte {
	dst = append(dst, c.Name...)
	switch c.Name {
	case CodeHighestModSeq, CodeUIDNext, CodeUIDValidity, CodeUnseen, CodeMetadataLongEntries, CodeMetadataMaxSize:
		return strconv.AppendUint(append(dst, ' '), c.Number, 10)
	case CodeAppendUID, CodeCopyUID:
		dst = strconv.AppendUint(append(dst, ' '), c.Number, 10)
		if c.Name == CodeCopyUID {
			dst = appendUIDs(append(dst, ' '), c.From)
		}
		return appendUIDs(append(dst, ' '), c.To)
	case CodeModified:
		return c.Set.appendTo(append(dst, ' '))
	case CodePermanentFlags:
		flags := make([]mail.Flag, len(c.Words))
		for i, w := range c.Words {
			flags[i] = mail.Flag(w)
		}
		return appendFlags(append(dst, ' '), flags)
	case CodeBadCharset, CodeMailboxID, CodeBadEvent:
		if len(c.Words) == 0 && c.Name == CodeBadCharset {
			return dst
		}
		dst = append(dst, " ("...)
		for i, w := range c.Words {
			if i > 0 {
				dst = append(dst, ' ')
			}
			if c.Name == CodeBadCharset {
				dst = appendAString(dst, w, d, literalSync)
			} else {
				dst = append(dst, w...)
			}
		}
		return append(dst, ')')
	}
	for _, w := range c.Words {
		dst = append(append(dst, ' '), w...)
	}
	return dst
}

// appendUIDs writes UIDs in their order, runs of ascending ones as ranges (RFC 4315 §3).
func appendUIDs(dst []byte, uids []mail.UID) []byte {
	for i := 0; i < len(uids); {
		if i > 0 {
			dst = append(dst, ',')
		}
		last := i
		for last+1 < len(uids) && uids[last+1] == uids[last]+1 {
			last++
		}
		dst = strconv.AppendUint(dst, uint64(uids[i]), 10)
		if last > i {
			dst = strconv.AppendUint(append(dst, ':'), uint64(uids[last]), 10)
		}
		i = last + 1
	}
	return dst
}

func appendID(dst []byte, fields []IDField, d Dialect, form literalForm) []byte {
	if len(fields) == 0 {
		return append(dst, "NIL"...)
	}
	dst = append(dst, '(')
	for i, f := range fields {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(appendString(dst, []byte(f.Name), d, form), ' ')
		dst = appendNString(dst, f.Value, d, form)
	}
	return append(dst, ')')
}

func appendNString(dst, s []byte, d Dialect, form literalForm) []byte {
	if s == nil {
		return append(dst, "NIL"...)
	}
	return appendString(dst, s, d, form)
}

// appendMetadata writes entries and values (RFC 5464 §5). A value with NUL is a literal8.
func appendMetadata(dst []byte, values []MetadataValue, d Dialect, form literalForm) []byte {
	dst = append(dst, '(')
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(appendAString(dst, v.Entry, d, form), ' ')
		if hasNul(v.Value) {
			dst = appendLiteral(append(dst, '~'), v.Value, form)
			continue
		}
		dst = appendNString(dst, v.Value, d, form)
	}
	return append(dst, ')')
}

func hasNul(s []byte) bool {
	for _, c := range s {
		if c == 0 {
			return true
		}
	}
	return false
}
