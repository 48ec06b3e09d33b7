package pop3

import "strconv"

// Code is a response code of RFC 2449 §8 and RFC 3206, with its brackets.
type Code string

const (
	NoCode   Code = ""
	InUse    Code = "[IN-USE]"   // the maildrop is locked by another session
	SysTemp  Code = "[SYS/TEMP]" // our fault, and it will pass
	SysPerm  Code = "[SYS/PERM]" // our fault, and somebody must repair it
	AuthCode Code = "[AUTH]"     // the credentials are wrong
)

// Terminator ends a multi-line reply (RFC 1939 §3).
const Terminator = ".\r\n"

// AppendOK appends a positive one-line reply, or the first line of a multi-line one.
func AppendOK(b []byte, text string) []byte {
	b = append(b, "+OK"...)
	if text != "" {
		b = append(b, ' ')
		b = append(b, text...)
	}
	return append(b, '\r', '\n')
}

// AppendErr appends a negative reply.
func AppendErr(b []byte, code Code, text string) []byte {
	b = append(b, "-ERR "...)
	if code != NoCode {
		b = append(b, code...)
		b = append(b, ' ')
	}
	b = append(b, text...)
	return append(b, '\r', '\n')
}

// AppendChallenge appends a SASL challenge, which is base64 already (RFC 5034 §4).
func AppendChallenge(b, challenge []byte) []byte {
	b = append(b, "+ "...)
	b = append(b, challenge...)
	return append(b, '\r', '\n')
}

// AppendDrop appends the reply to STAT: the drop listing of RFC 1939 §5.
func AppendDrop(b []byte, count int, size int64) []byte {
	b = append(b, "+OK "...)
	b = strconv.AppendInt(b, int64(count), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, size, 10)
	return append(b, '\r', '\n')
}

// AppendScan appends a scan listing line: message number and size.
func AppendScan(b []byte, number int, size int64) []byte {
	b = strconv.AppendInt(b, int64(number), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, size, 10)
	return append(b, '\r', '\n')
}

// AppendUnique appends a unique-id listing line.
func AppendUnique(b []byte, number int, id string) []byte {
	b = strconv.AppendInt(b, int64(number), 10)
	b = append(b, ' ')
	b = append(b, id...)
	return append(b, '\r', '\n')
}
