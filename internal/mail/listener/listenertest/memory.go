package listenertest

import "runtime"

// Heap gives the octets that live objects of this process take.
func Heap() int64 { return int64(collected().HeapAlloc) }

// Memory gives the octets that live objects and stacks of this process take.
func Memory() int64 {
	m := collected()
	return int64(m.HeapAlloc + m.StackInuse)
}

// collected gives the figures after garbage was collected: pools need two collections, stacks shrink by half at each.
func collected() (m runtime.MemStats) {
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m
}
