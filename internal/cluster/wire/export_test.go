package wire

import "porcupine/internal/cluster"

// A view travels within a membership message only; the tests look at it alone.

func MarshalView(v *cluster.View) []byte { return appendView(nil, v) }

func UnmarshalView(b []byte) (*cluster.View, error) { return unmarshalView(b) }
