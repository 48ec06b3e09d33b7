package identity

import (
	"encoding/binary"
	"fmt"
	"io"

	"porcupine/internal/cluster"
)

// The join exchange is one request and one answer inside TLS. Both are frames: a length (4 bytes,
// big-endian, of what follows) and as many bytes.
//
//	request: secret (16) | node id (8, big-endian) | certificate signing request (PKCS #10, DER)
//	answer:  0 | field: certificate of the node (DER) | field: key of the CA (PKCS #8)
//	           | at most KnownAddrsMax fields: an address each
//	       | 1 | text that says why not
//
// where a field is a length (2 bytes, big-endian) and as many bytes.

// Limits of the exchange.
const (
	joinRequestMax = 2 << 10
	joinAnswerMax  = 256 << 10
	refusalMax     = 1 << 10
	KnownAddrsMax  = 256
)

const (
	joinAccepted = 0
	joinRefused  = 1
)

type joinRequest struct {
	secret [secretSize]byte
	node   cluster.NodeID
	csr    []byte
}

type joinAnswer struct {
	refusal string // not empty: nothing else is in it
	cert    []byte
	caKey   []byte
	addrs   []string
}

// writeFrame and readFrame move one frame.
func writeFrame(w io.Writer, body []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	return err
}

func readFrame(r io.Reader, most int) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n == 0 || n > uint32(most) {
		return nil, fmt.Errorf("frame of %d bytes, want 1 to %d", n, most)
	}
	body := make([]byte, n)
	_, err := io.ReadFull(r, body)
	return body, err
}

func (q joinRequest) encode() []byte {
	b := append([]byte(nil), q.secret[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(q.node))
	return append(b, q.csr...)
}

func decodeJoinRequest(b []byte) (q joinRequest, err error) {
	if len(b) < secretSize+8 {
		return q, fmt.Errorf("join request of %d bytes is too short", len(b))
	}
	b = b[copy(q.secret[:], b):]
	q.node = cluster.NodeID(binary.BigEndian.Uint64(b))
	q.csr = b[8:]
	return q, nil
}

func (a joinAnswer) encode() []byte {
	if a.refusal != "" {
		return append([]byte{joinRefused}, a.refusal[:min(len(a.refusal), refusalMax)]...)
	}
	b := appendField([]byte{joinAccepted}, a.cert)
	b = appendField(b, a.caKey)
	for _, addr := range a.addrs[:min(len(a.addrs), KnownAddrsMax)] {
		b = appendField(b, []byte(addr))
	}
	return b
}

func decodeJoinAnswer(b []byte) (a joinAnswer, err error) {
	if len(b) == 0 {
		return a, fmt.Errorf("join answer is empty")
	}
	status, b := b[0], b[1:]
	switch status {
	case joinRefused:
		if len(b) == 0 || len(b) > refusalMax {
			return a, fmt.Errorf("join refused with a text of %d bytes, want 1 to %d", len(b), refusalMax)
		}
		a.refusal = string(b)
		return a, nil
	case joinAccepted:
	default:
		return a, fmt.Errorf("join answer has status %d, which this version does not know", status)
	}
	if a.cert, b, err = cutField(b); err != nil {
		return a, err
	}
	if a.caKey, b, err = cutField(b); err != nil {
		return a, err
	}
	for len(b) > 0 {
		var addr []byte
		if addr, b, err = cutField(b); err != nil {
			return a, err
		}
		if len(a.addrs) == KnownAddrsMax {
			return a, fmt.Errorf("join answer has more than %d addresses", KnownAddrsMax)
		}
		a.addrs = append(a.addrs, string(addr))
	}
	return a, nil
}

// fieldMax is what fits a field's length.
const fieldMax = 1<<16 - 1

func appendField(b, field []byte) []byte {
	field = field[:min(len(field), fieldMax)]
	b = binary.BigEndian.AppendUint16(b, uint16(len(field)))
	return append(b, field...)
}

func cutField(b []byte) (field, rest []byte, err error) {
	if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
		return nil, nil, fmt.Errorf("join answer is cut")
	}
	n := int(binary.BigEndian.Uint16(b))
	return b[2 : 2+n], b[2+n:], nil
}
