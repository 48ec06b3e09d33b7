package directory

import (
	"errors"

	"porcupine/internal/cluster"
)

// An answer of a manager is one octet and the rest. Octet 0: the rest is the result. Else it is
// an error: its kind plus one, with answerAgain added if the same question may get a better
// answer in a moment; the rest is the error's text.
const answerAgain = 0x80

func encodeAnswer(result []byte, again bool, err error) []byte {
	if err == nil {
		return append([]byte{0}, result...)
	}
	status := byte(cluster.KindOf(err)) + 1
	if again {
		status |= answerAgain
	}
	return append([]byte{status}, err.Error()...)
}

func decodeAnswer(b []byte) (result []byte, again bool, err error) {
	if len(b) == 0 {
		return nil, false, cluster.Errorf(cluster.KindInternal, "read answer", "it is empty")
	}
	if b[0] == 0 {
		return b[1:], false, nil
	}
	kind := cluster.Kind(b[0]&^answerAgain - 1)
	return nil, b[0]&answerAgain != 0, &cluster.Error{Kind: kind, Op: "manager", Err: errors.New(string(b[1:]))}
}
