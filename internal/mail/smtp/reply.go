package smtp

import "fmt"

// Reply is one reply on one line without its line end: code, enhanced status code (RFC 2034) and
// text, for example "250 2.1.0 ok".
type Reply string

// The replies that syntax alone decides.
const (
	ReplySyntax    Reply = "500 5.5.2 this is not an SMTP command"
	ReplyControl   Reply = "500 5.5.2 control character in a command"
	ReplyLineEnd   Reply = "500 5.5.2 lines must end in CR LF and hold no other CR or LF"
	ReplyLineLong  Reply = "500 5.5.2 line too long"
	ReplyHelloName Reply = "501 5.5.4 a domain name or an address literal is needed"
	ReplyArgument  Reply = "501 5.5.4 bad argument"
	ReplyParameter Reply = "501 5.5.4 bad parameter"
	ReplyUnknown   Reply = "555 5.5.4 parameter not recognised"
	ReplySender    Reply = "501 5.1.7 bad sender address: write MAIL FROM:<name@domain>"
	ReplyRecipient Reply = "501 5.1.3 bad recipient address: write RCPT TO:<name@domain>"
	ReplyNeedUTF8  Reply = "553 5.6.7 a non-ASCII address needs the SMTPUTF8 parameter"
	ReplyNoArg     Reply = "501 5.5.4 this command takes no argument"
)

// Code gives the three digits as a number.
func (r Reply) Code() int {
	if len(r) < 3 {
		return 0
	}
	return int(r[0]-'0')*100 + int(r[1]-'0')*10 + int(r[2]-'0')
}

// Append writes the reply with CR LF. A control character in it, which would be a fault of the
// caller's, becomes "?": a reply is always one line (attack 19).
func (r Reply) Append(dst []byte) []byte {
	return append(appendClean(dst, string(r)), '\r', '\n')
}

// AppendLines writes a reply of several lines (RFC 5321 §4.2.1): "250-first", "250 last".
func AppendLines(dst []byte, code int, lines ...string) []byte {
	for i, line := range lines {
		sep := byte('-')
		if i == len(lines)-1 {
			sep = ' '
		}
		dst = append(dst, byte('0'+code/100%10), byte('0'+code/10%10), byte('0'+code%10), sep)
		dst = append(appendClean(dst, line), '\r', '\n')
	}
	return dst
}

func appendClean(dst []byte, s string) []byte {
	start := len(dst)
	dst = append(dst, s...)
	for i := start; i < len(dst); i++ {
		if dst[i] < ' ' || dst[i] == 0x7f {
			dst[i] = '?'
		}
	}
	return dst
}

// SyntaxError says what is wrong with a command. Reply is for the client; the error text is for
// the log and may quote the client.
type SyntaxError struct {
	Reply  Reply
	Detail error
}

func (e *SyntaxError) Error() string { return e.Detail.Error() }

func (e *SyntaxError) Unwrap() error { return e.Detail }

func syntaxError(r Reply, format string, args ...any) error {
	return &SyntaxError{Reply: r, Detail: fmt.Errorf(format, args...)}
}
