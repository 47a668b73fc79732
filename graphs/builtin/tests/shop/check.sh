. ./cart.sh

[ "$(total 1 2)" = 3 ] || {
    echo "total does not add up"
    exit 1
}
