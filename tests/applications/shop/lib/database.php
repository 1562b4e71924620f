<?php
// The database is in `shared/`, so all releases use the same one.
function database(): PDO
{
    return new PDO('sqlite:' . __DIR__ . '/../data/shop.sqlite');
}
