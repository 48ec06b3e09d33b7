package call

import (
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/wire"
	"porcupine/internal/cluster/wire/field"
)

// page is the number of elements that an answer may have when most is the limit.
func page(asked, most int) int {
	if asked <= 0 || asked > most {
		return most
	}
	return asked
}

// need makes a missing part the fault of a message.
func need(r *field.Reader, message string, ok bool, part string) {
	if !ok {
		r.Fail("%s without %s", message, part)
	}
}

func appendEpoch(b []byte, n field.Number, e cluster.Epoch) []byte {
	return field.Message(b, n, func(b []byte) []byte { return wire.AppendEpoch(b, e) })
}

func readEpoch(r *field.Reader) (e cluster.Epoch) {
	r.Message(func(b []byte) (err error) {
		e, err = wire.UnmarshalEpoch(b)
		return err
	})
	return e
}

func readHolding(r *field.Reader) (h cluster.Holding) {
	r.Message(func(b []byte) (err error) {
		h, err = wire.UnmarshalHolding(b)
		return err
	})
	return h
}

func readType(r *field.Reader) cluster.ObjectType {
	return cluster.ObjectType(r.String(cluster.TypeLengthMax))
}
