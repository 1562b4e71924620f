<?php
function health(): string
{
    return database()->query('SELECT count(*) FROM goods')->fetchColumn() . ' goods';
}
