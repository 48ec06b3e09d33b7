// Package join holds the contents of objects that merge (cluster.TypeSpec.Merge): where newest-wins
// would lose one of two updates of which neither knew the other.
package join
