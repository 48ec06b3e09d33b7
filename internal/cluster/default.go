package cluster

// Default gives a field of a room's Config its default if it is zero or below. So a limit of zero is the default, never
// "unlimited".
func Default[T ~int | ~int64](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}
