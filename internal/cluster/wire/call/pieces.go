package call

import (
	"math"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire/field"
)

// Marshal writes the request.
func (q *PiecesRequest) Marshal() []byte {
	b := field.String(nil, 1, q.Owner)
	b = field.String(b, 2, string(q.Type))
	for i := range q.Pieces {
		b = field.Element(b, 3, func(b []byte) []byte { return appendPiece(b, &q.Pieces[i]) })
	}
	return b
}

// Unmarshal reads what Marshal writes. There is at least one piece.
func (q *PiecesRequest) Unmarshal(b []byte) error {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			q.Owner = r.Raw(cluster.OwnerLengthMax)
		case 2:
			q.Type = readType(r)
		case 3:
			q.Pieces = field.DecodeElement(r, q.Pieces, PiecesMax, unmarshalPiece)
		}
	}
	need(r, "pieces", q.Owner != "" && q.Type != "" && len(q.Pieces) > 0, "owner, type and pieces")
	return r.Err()
}

func appendPiece(b []byte, p *cluster.Piece) []byte {
	b = field.String(b, 1, p.ID)
	b = field.Uint(b, 2, uint64(max(p.Offset, 0)))
	return field.Uint(b, 3, uint64(max(p.Length, 0)))
}

func unmarshalPiece(b []byte) (p cluster.Piece, err error) {
	r := field.Read(b)
	for r.Next() {
		switch r.Num() {
		case 1:
			p.ID = r.Raw(cluster.ObjectIDLenMax)
		case 2:
			p.Offset = int64(r.UintMax(math.MaxInt64))
		case 3:
			p.Length = int64(r.UintMax(cluster.PieceSizeMax))
		}
	}
	return p, r.Err()
}

// Marshal writes the answer.
func (a *PiecesAnswer) Marshal() []byte { return marshalItems(a.Items) }

// Unmarshal reads what Marshal writes. The caller checks that there are not more items than pieces.
func (a *PiecesAnswer) Unmarshal(b []byte) (err error) {
	a.Items, err = unmarshalItems(b, "pieces answer", PiecesMax)
	return err
}
